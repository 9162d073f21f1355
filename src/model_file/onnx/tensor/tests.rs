use super::super::encode::Bytes;
use super::*;

fn stored<'a>(elem: ElemType, dims: &[i64]) -> StoredTensor<'a> {
    StoredTensor { name: "w", dims: dims.to_vec(), elem_type: elem as i64, ..StoredTensor::default() }
}

fn raw(elem: ElemType, dims: &[i64], raw: &[u8]) -> Result<Data, String> {
    Tensor::inline(&StoredTensor { raw: Some(raw), ..stored(elem, dims) }).map(|tensor| tensor.data)
}

#[test]
fn half_precision_is_exact() {
    let cases: [(u16, f32); 8] = [
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x7bff, 65504.0),
        (0x0001, 5.960_464_5e-8),
        (0x03ff, 6.097_555e-5),
        (0x0400, 6.103_515_6e-5),
        (0x3555, 0.333_251_95),
        (0xfc00, f32::NEG_INFINITY),
    ];
    for (bits, number) in cases {
        assert_eq!(f16(bits), number, "{bits:04x}");
    }
    assert!(f16(0x7e00).is_nan() && f16(0x8000).is_sign_negative());
    assert_eq!((bf16(0x3f80), bf16(0xc049), bf16(0x0001)), (1.0, -3.140_625, f32::from_bits(1 << 16)));
    // Rounding leaves what is exact alone, and takes the nearest of all else.
    let all: Vec<f32> = (0..=0x7bff).map(f16).collect();
    for (i, &number) in all.iter().enumerate() {
        assert_eq!(ElemType::F16.round(number), number);
        let next = all.get(i + 1).copied().unwrap_or(65536.0);
        let middle = f32::midpoint(number, next);
        let even = if i % 2 == 0 {
            number
        } else if next == 65536.0 {
            f32::INFINITY
        } else {
            next
        };
        assert_eq!(ElemType::F16.round(middle), even, "between {number} and {next}");
        assert_eq!(ElemType::F16.round(-middle.next_down()), -number);
    }
    assert_eq!(ElemType::BF16.round((1.0f32 + 1.0 / 256.0).next_up()), 1.007_812_5);
    assert_eq!(ElemType::BF16.round(f32::MAX), f32::INFINITY);
    assert!(ElemType::BF16.round(f32::NAN).is_nan());
}

#[test]
fn raw_data_of_every_type() {
    assert_eq!(raw(ElemType::F16, &[2], &[0, 0x3c, 0, 0xc0]), Ok(Data::Float(vec![1.0, -2.0])));
    assert_eq!(raw(ElemType::BF16, &[1], &[0x80, 0x3f]), Ok(Data::Float(vec![1.0])));
    assert_eq!(raw(ElemType::F64, &[], &1.5f64.to_le_bytes()), Ok(Data::Double(vec![1.5])));
    assert_eq!(raw(ElemType::I8, &[2], &[255, 1]), Ok(Data::Int(vec![-1, 1])));
    assert_eq!(raw(ElemType::U16, &[1], &[255, 255]), Ok(Data::Int(vec![65535])));
    assert_eq!(raw(ElemType::I32, &[1, 1], &(-5i32).to_le_bytes()), Ok(Data::Int(vec![-5])));
    assert_eq!(raw(ElemType::Bool, &[2], &[0, 1]), Ok(Data::Bool(vec![false, true])));
    assert_eq!(raw(ElemType::I4, &[3], &[0x8f, 0x07]), Ok(Data::Int(vec![-1, -8, 7])));
    assert_eq!(raw(ElemType::U2, &[5], &[0b11_10_01_00, 2]), Ok(Data::Int(vec![0, 1, 2, 3, 2])));
    assert_eq!(raw(ElemType::F32, &[0, 5], &[]), Ok(Data::Float(vec![])));
    assert!(raw(ElemType::U64, &[1], &[255; 8]).unwrap_err().contains("beyond 63 bits"));
    let named = StoredTensor { strings: vec![b"a", b"b"], ..stored(ElemType::Text, &[2]) };
    assert_eq!(Tensor::inline(&named).unwrap().data, Data::Text(vec!["a".into(), "b".into()]));
    let half = StoredTensor { int32s: vec![0x3c00], ..stored(ElemType::F16, &[1]) };
    assert_eq!(Tensor::inline(&half).unwrap().data, Data::Float(vec![1.0]));
}

#[test]
fn data_must_fit_the_shape_and_the_type() {
    let refused = |stored: StoredTensor, expected: &str| {
        let found = Tensor::read(Path::new("m.onnx"), &stored).unwrap_err().to_string();
        assert!(found.starts_with("m.onnx: tensor w: ") && found.contains(expected), "{found}");
    };
    let of = stored;
    refused(
        StoredTensor { raw: Some(&[0; 7]), ..of(ElemType::F32, &[2]) },
        "7 bytes are there where 2 elements of float need 8",
    );
    refused(of(ElemType::F32, &[3]), "0 elements are there where the shape [3] needs 3");
    refused(of(ElemType::F32, &[-1]), "an axis has the length -1");
    refused(of(ElemType::F32, &[i64::MAX, 2, 3]), "more than 2147483648 elements");
    refused(of(ElemType::F32, &[0, i64::MAX]), "more than 2147483648 elements");
    refused(of(ElemType::F32, &[1; 40]), "40 axes");
    refused(StoredTensor { elem_type: 17, ..of(ElemType::F32, &[1]) }, "the type float8e4m3fn are not supported");
    refused(StoredTensor { elem_type: 99, ..of(ElemType::F32, &[1]) }, "the element type 99 doesn't exist");
    refused(StoredTensor { raw: Some(&[0; 4]), floats: vec![0.0], ..of(ElemType::F32, &[1]) }, "its data twice");
    refused(StoredTensor { int32s: vec![300], ..of(ElemType::U8, &[1]) }, "the integer 300 is beyond its type");
    refused(StoredTensor { strings: vec![&[255]], ..of(ElemType::Text, &[1]) }, "a string is not UTF-8");
}

#[test]
fn integers_wrap_around_in_their_type() {
    let cases = [
        (ElemType::U8, -1, 255),
        (ElemType::I8, 200, -56),
        (ElemType::I4, 8, -8),
        (ElemType::U2, 5, 1),
        (ElemType::I32, 1 << 31, -(1 << 31)),
        (ElemType::I64, i64::MIN, i64::MIN),
    ];
    for (elem, value, wrapped) in cases {
        assert_eq!(elem.wrap(value), Ok(wrapped));
    }
    assert!(ElemType::U64.wrap(-1).is_err() && ElemType::F32.wrap(1).is_err());
}

/// A tensor of two floats that lie elsewhere.
fn outside<'a>(entries: &[(&'a str, &'a str)]) -> StoredTensor<'a> {
    StoredTensor { external: Some(entries.to_vec()), ..stored(ElemType::F32, &[2]) }
}

#[test]
fn data_beside_the_model_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m.onnx");
    let numbers = Bytes::default().float(1, 7.0).0;
    let file = [&numbers[..1], &numbers[1..], &1.5f32.to_le_bytes(), &2.5f32.to_le_bytes(), &[9; 3]].concat();
    std::fs::create_dir(folder.path().join("parts")).unwrap();
    std::fs::write(folder.path().join("parts/w.data"), &file).unwrap();
    let entries = [("location", "parts/w.data"), ("offset", "5"), ("length", "8")];
    for entries in [&entries[..], &entries[..2]] {
        let tensor = Tensor::read(&model, &outside(entries)).unwrap();
        assert_eq!((tensor.dims, tensor.data), (vec![2], Data::Float(vec![1.5, 2.5])));
    }
    let refused = |entries: &[(&str, &str)], expected: &str| {
        let found = Tensor::read(&model, &outside(entries)).unwrap_err().to_string();
        assert!(found.contains(expected), "{found}\nshould contain\n{expected}");
    };
    refused(&[], "which is not named");
    refused(
        &[("location", "parts/w.data"), ("offset", "9")],
        "8 bytes from byte 9 on should be in parts/w.data, which has 16",
    );
    refused(&[("location", "parts/w.data"), ("offset", "18446744073709551615")], "should be in parts/w.data");
    refused(&[("location", "parts/w.data"), ("offset", "-1")], "its offset \"-1\" is no whole number");
    refused(&[("location", "parts/w.data"), ("length", "4")], "4 bytes are said to be its data");
    refused(&[("location", "parts")], "which is no file");
    refused(&[("location", "absent")], "cannot read");
    assert!(Tensor::inline(&outside(&entries)).unwrap_err().contains("in another file"));
}

#[cfg(unix)]
#[test]
fn nothing_outside_the_folder_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, [0; 8]).unwrap();
    std::fs::write(inner.join("w"), [0; 8]).unwrap();
    std::os::unix::fs::symlink(&secret, inner.join("link")).unwrap();
    std::os::unix::fs::symlink(folder.path(), inner.join("up")).unwrap();
    std::os::unix::fs::symlink(inner.join("w"), inner.join("near")).unwrap();
    let model = inner.join("m.onnx");
    let absolute = inner.join("w");
    for location in ["../secret", "link", "up/secret", "up/inner/../secret", "./../secret", absolute.to_str().unwrap()]
    {
        let found = Tensor::read(&model, &outside(&[("location", location)])).unwrap_err().to_string();
        assert!(found.contains("outside the model's folder"), "{location}: {found}");
    }
    for location in ["w", "./w", "near", "up/inner/w"] {
        assert!(Tensor::read(&model, &outside(&[("location", location)])).is_ok(), "{location}");
    }
}
