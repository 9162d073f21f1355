//! Every shader is valid WGSL that all backends accept, and its structs are laid out as the Rust ones.

use std::collections::BTreeMap;
use std::mem::{offset_of, size_of};

use eigenlens::kernels::{self as k, SHADERS};
use eigenlens::program::Step;
use eigenlens::program::dispatch::GpuView;
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, TypeInner};

fn parse(name: &str, source: &str) -> (Module, ModuleInfo) {
    let module =
        naga::front::wgsl::parse_str(source).unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(source)));
    let info = Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP)
        .validate(&module)
        .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(source)));
    (module, info)
}

#[test]
fn every_file_is_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    let mut listed: Vec<_> = SHADERS.iter().map(|shader| format!("{}.wgsl", shader.name)).collect();
    files.sort();
    listed.sort();
    assert_eq!(files, listed);
}

#[test]
fn every_backend_accepts_every_shader() {
    for shader in SHADERS {
        let (module, info) = parse(shader.name, shader.source);
        let (module, info) =
            naga::back::pipeline_constants::process_overrides(&module, &info, None, &Default::default())
                .unwrap_or_else(|e| panic!("{}: {e}", shader.name));
        let options = spv::Options { lang_version: (1, 3), ..Default::default() };
        let words = spv::write_vec(&module, &info, &options, None);
        assert!(words.is_ok_and(|words| !words.is_empty()), "{} as SPIR-V", shader.name);

        let options = msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..Default::default() };
        msl::write_string(&module, &info, &options, &Default::default())
            .unwrap_or_else(|e| panic!("{} as MSL: {e}", shader.name));

        let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, ..Default::default() };
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions { entry_point: None })
            .write(&module, &info, None)
            .unwrap_or_else(|e| panic!("{} as HLSL: {e}", shader.name));
    }
}

#[test]
fn every_adapter_can_bind_and_hold_them() {
    for shader in SHADERS {
        let (module, info) = parse(shader.name, shader.source);
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        for (i, entry) in module.entry_points.iter().enumerate() {
            let used =
                module.global_variables.iter().filter(|(handle, _)| !info.get_entry_point(i)[*handle].is_empty());
            let (mut storage, mut workgroup) = (0, 0);
            for (_, global) in used {
                match global.space {
                    AddressSpace::Storage { .. } => storage += 1,
                    AddressSpace::WorkGroup => workgroup += layouter[global.ty].size,
                    _ => {}
                }
            }
            assert!(storage <= 8, "{} {}: {storage} storage buffers", shader.name, entry.name);
            assert!(workgroup <= 16 << 10, "{} {}: {workgroup} bytes of workgroup memory", shader.name, entry.name);
        }
    }
}

/// Members of a WGSL struct with their offsets, and its size.
fn layout_of(module: &Module, name: &str) -> (Vec<(String, u32)>, u32) {
    let found = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name));
    match found.map(|(_, ty)| &ty.inner) {
        Some(TypeInner::Struct { members, span }) => {
            let named = members.iter().map(|m| (m.name.clone().unwrap_or_default(), m.offset));
            (named.filter(|(name, _)| !name.starts_with("pad")).collect(), *span)
        }
        _ => panic!("no struct {name}"),
    }
}

macro_rules! rust_layout {
    ($type:ty: $($field:ident)*) => {
        (vec![$((stringify!($field).to_owned(), offset_of!($type, $field) as u32)),*], size_of::<$type>() as u32)
    };
}

#[test]
fn structs_match() {
    let step = rust_layout!(Step: index rows begin epoch count rate ordering kept);
    let view = rust_layout!(GpuView: offset stride cols ld);
    let gemm = rust_layout!(k::gemm::Params: a b out extra lambda_in lambda_out bias tiles rows depth b_last);
    let params = BTreeMap::from([
        ("activation", rust_layout!(k::activation::Params: x saved y)),
        (
            "adam",
            rust_layout!(k::adam::Params: psi_begin psi_end lambda_begin lambda_end trainable settings_stride
                parameters_stride gradient_stride m_stride v_stride beta1 beta2 epsilon skip_begin skip_end),
        ),
        ("add", rust_layout!(k::add::Params: a b out)),
        ("batch_norm", rust_layout!(k::batch_norm::Params: x dy y gamma beta saved running below momentum epsilon)),
        ("columns", rust_layout!(k::columns::Params: a b out first)),
        ("dropout", rust_layout!(k::dropout::Params: x y scale threshold node settings_stride)),
        ("expand", rust_layout!(k::expand::Params: left weight lambda_in lambda_out right out)),
        ("gather", rust_layout!(k::gather::Params: out rows_stride row_words first last)),
        ("gemm_broadcast", gemm.clone()),
        ("gemm_tile", gemm),
        ("linearise", rust_layout!(k::linearise::Params: x y slope intercept gamma beta running epsilon)),
        ("loss", rust_layout!(k::loss::Params: output gradient stats rows_stride)),
        ("mask", rust_layout!(k::mask::Params: x position_stride)),
        ("tie", rust_layout!(k::tie::Params: x groups)),
        (
            "penalty",
            rust_layout!(k::penalty::Params: psi_begin psi_end lambda_begin lambda_end len stride settings_stride
                results_stride part parts),
        ),
        (
            "proximal",
            rust_layout!(k::proximal::Params: weight gradient velocity rows units settings_stride rate momentum),
        ),
        ("pullback", rust_layout!(k::pullback::Params: g psi lambda_in lambda_out d_psi d_lambda_in d_lambda_out rows)),
        ("reduce", rust_layout!(k::reduce::Params: stats results_stride)),
        ("select", rust_layout!(k::select::Params: out_stride offset len settings_stride)),
    ]);
    for shader in SHADERS {
        let (module, _) = parse(shader.name, shader.source);
        assert_eq!(layout_of(&module, "Step"), step, "Step in {}", shader.name);
        assert_eq!(layout_of(&module, "Params"), params[shader.name], "Params in {}", shader.name);
        if shader.source.contains("struct View") {
            assert_eq!(layout_of(&module, "View"), view, "View in {}", shader.name);
        }
    }
}

/// WGSL has no imports: what several shaders share is copied between marker lines, and must stay one text.
#[test]
fn shared_text_is_the_same() {
    for (begin, end) in [("// --- slope ", "// --- end of slope "), ("// --- activation ", "// --- end of activation ")]
    {
        let blocks: Vec<_> = SHADERS
            .iter()
            .filter_map(|shader| {
                let text = shader.source;
                Some((shader.name, &text[text.find(begin)?..text.find(end)?]))
            })
            .collect();
        assert!(blocks.len() >= 3);
        for (name, block) in &blocks {
            assert_eq!(*block, blocks[0].1, "{name} and {}", blocks[0].0);
        }
    }
}
