//! Every shader is valid WGSL that all backends accept, and its structs are laid out as the Rust ones.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{offset_of, size_of};

use eigenlens::kernels::{self as k, Activation, SHADERS};
use eigenlens::program::Step;
use eigenlens::program::dispatch::GpuView;
use eigenlens::program::shader::{COMMON, Shader};
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, TypeInner};

/// A kernel's composed module; an error names the file and the line.
fn parse(shader: Shader) -> (Module, ModuleInfo) {
    let composed = shader.compose();
    let source = composed.text.as_str();
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|e| panic!("{}", composed.located(&e.emit_to_string(source))));
    let info = Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP)
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}: {}", shader.name, composed.located(&e.emit_to_string(source))));
    (module, info)
}

#[test]
fn every_file_is_listed() {
    let files = |folder: &str| {
        let path = format!("{}/shaders/{folder}", env!("CARGO_MANIFEST_DIR"));
        let names = std::fs::read_dir(path).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
        names.filter_map(|name| Some(format!("{folder}{}", name.strip_suffix(".wgsl")?))).collect::<BTreeSet<_>>()
    };
    let listed = |shaders: &[Shader]| shaders.iter().map(|s| s.name.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(files(""), listed(&SHADERS));
    assert_eq!(files("common/"), listed(&COMMON));
}

#[test]
fn every_backend_accepts_every_shader() {
    for shader in SHADERS {
        let (module, info) = parse(shader);
        let (module, info) =
            naga::back::pipeline_constants::process_overrides(&module, &info, None, &Default::default())
                .unwrap_or_else(|e| panic!("{}: {e}", shader.name));
        let options = spv::Options { lang_version: (1, 3), ..Default::default() };
        let words = spv::write_vec(&module, &info, &options, None);
        assert!(words.is_ok_and(|words| !words.is_empty()), "{} as SPIR-V", shader.name);

        let options = msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..Default::default() };
        msl::write_string(&module, &info, &options, &Default::default())
            .unwrap_or_else(|e| panic!("{} as MSL: {e}", shader.name));

        // As wgpu asks for it: HLSL doesn't know how many workgroups there are, so constants say it.
        let constants = Some(hlsl::BindTarget { space: 255, ..Default::default() });
        let model = hlsl::ShaderModel::V6_0;
        let options = hlsl::Options { shader_model: model, special_constants_binding: constants, ..Default::default() };
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions { entry_point: None })
            .write(&module, &info, None)
            .unwrap_or_else(|e| panic!("{} as HLSL: {e}", shader.name));
        let asking = module.entry_points.iter().filter(|entry| {
            let counts = |binding: &Option<naga::Binding>| {
                matches!(binding, Some(naga::Binding::BuiltIn(naga::BuiltIn::NumWorkGroups)))
            };
            entry.function.arguments.iter().any(|argument| counts(&argument.binding))
        });
        let uses = text.matches("uint3(_NagaConstants").count();
        assert!(uses >= asking.count(), "{}: {uses} uses of the number of workgroups are constants", shader.name);
        let inside = module.types.iter().filter_map(|(_, ty)| match &ty.inner {
            TypeInner::Struct { members, .. } => Some(members),
            _ => None,
        });
        let count = Some(naga::Binding::BuiltIn(naga::BuiltIn::NumWorkGroups));
        let hidden = inside.flatten().any(|member| member.binding == count);
        assert!(!hidden, "{}: naga has no constant for a number of workgroups inside a struct", shader.name);
    }
}

#[test]
fn every_adapter_can_bind_and_hold_them() {
    for shader in SHADERS {
        let (module, info) = parse(shader);
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
    let window = rust_layout!(k::window::GpuWindow: input output kernel stride dilation before);
    let params = BTreeMap::from([
        ("activation", rust_layout!(k::activation::Params: x saved y)),
        (
            "adam",
            rust_layout!(k::adam::Params: psi_begin psi_end lambda_begin lambda_end trainable settings_stride
                parameters_stride gradient_stride m_stride v_stride beta1 beta2 epsilon skip_begin skip_end),
        ),
        ("add", rust_layout!(k::add::Params: a b out)),
        (
            "batch_norm",
            rust_layout!(k::batch_norm::Params: x dy y gamma beta saved running below momentum epsilon places),
        ),
        (
            "batch_product",
            rust_layout!(k::batch_product::Params: a b out heads rows columns depth a_row a_column b_row b_column row_tiles
                tiles),
        ),
        (
            "channel_norm",
            rust_layout!(k::batch_norm::Params: x dy y gamma beta saved running below momentum epsilon places),
        ),
        ("columns", rust_layout!(k::columns::Params: a b out first)),
        (
            "convolve",
            rust_layout!(k::convolve::Params: window a b out extra lambda_in lambda_out bias groups channels filters row_tiles
                tiles),
        ),
        ("dropout", rust_layout!(k::dropout::Params: x y scale threshold node settings_stride)),
        ("expand", rust_layout!(k::expand::Params: left weight lambda_in lambda_out right out)),
        ("function", rust_layout!(k::function::Params: x y slope intercept a b)),
        ("gather", rust_layout!(k::gather::Params: out rows_stride row_words first last)),
        ("gemm_broadcast", gemm.clone()),
        ("gemm_tile", gemm),
        ("linearise", rust_layout!(k::linearise::Params: x y slope intercept gamma beta running epsilon places)),
        ("loss", rust_layout!(k::loss::Params: output gradient stats rows_stride)),
        ("mask", rust_layout!(k::mask::Params: x position_stride)),
        ("max_pool", rust_layout!(k::max_pool::Params: window x out winner)),
        ("normalise", rust_layout!(k::normalise::Params: x y scale out len inner groups epsilon)),
        ("sparse", rust_layout!(k::sparse::Params: x out)),
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
        (
            "pullback",
            rust_layout!(k::pullback::Params: g psi lambda_in lambda_out d_psi d_lambda_in d_lambda_out rows taps),
        ),
        ("reduce", rust_layout!(k::reduce::Params: stats results_stride)),
        ("select", rust_layout!(k::select::Params: out_stride offset len settings_stride list_stride)),
    ]);
    for shader in SHADERS {
        let (module, _) = parse(shader);
        assert_eq!(layout_of(&module, "Step"), step, "Step in {}", shader.name);
        assert_eq!(layout_of(&module, "Params"), params[shader.name], "Params in {}", shader.name);
        if shader.compose().text.contains("struct View") {
            assert_eq!(layout_of(&module, "View"), view, "View in {}", shader.name);
        }
        if shader.compose().text.contains("struct Window") {
            assert_eq!(layout_of(&module, "Window"), window, "Window in {}", shader.name);
        }
    }
}

/// Functions, structs and constants of a file: what each is called, and what stands in it without names of its own.
fn declarations(shader: Shader) -> Vec<(String, String)> {
    let code: String =
        shader.source.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect();
    let starts = code.match_indices('\n').map(|(i, _)| i + 1).chain([0]);
    let kinds = ["fn ", "struct ", "const "];
    let declared = starts.filter(|&i| kinds.iter().any(|kind| code[i..].starts_with(kind)));
    declared
        .map(|i| {
            let text = &code[i..];
            let end = if text.starts_with("fn ") || text.starts_with("struct ") { "\n}" } else { ";" };
            let text = &text[..text.find(end).expect("a whole declaration")];
            let (name, body) = text.split_at(text.find(['(', '{', ':']).expect("a name"));
            (name.trim().to_owned(), body.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// What two kernels need stands in `shaders/common`: no function or struct has the body of another, by whatever name, and no two
/// things have one name. (Entry points are called `main`, and every kernel has its `Params`.)
fn doubles(files: &[Shader]) -> Vec<String> {
    let (mut bodies, mut names, mut found) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for shader in files {
        for (name, body) in declarations(*shader) {
            let place = format!("`{name}` in {}", shader.name);
            let own = name == "struct Params" || name == "fn main";
            if !name.starts_with("const ") && (!own || name == "fn main") {
                found.extend(bodies.insert(body, place.clone()).map(|other| format!("{place} is {other}")));
            }
            if !own && !body_is_entry_point(*shader, &name) {
                found.extend(names.insert(name, place.clone()).map(|other| format!("{place} is called like {other}")));
            }
        }
    }
    found
}

fn body_is_entry_point(shader: Shader, name: &str) -> bool {
    let at = shader.source.find(&format!("\n{name}(")).unwrap_or(0);
    shader.source[..at].lines().next_back().is_some_and(|line| line.starts_with("@compute"))
}

#[test]
fn nothing_stands_twice() {
    let files: Vec<Shader> = SHADERS.into_iter().chain(COMMON).collect();
    let functions = files.iter().flat_map(|shader| declarations(*shader)).filter(|(name, _)| name.starts_with("fn "));
    assert!(functions.count() > 40, "the functions are read");
    assert_eq!(doubles(&files), [""; 0]);
    // A copy under another name, and another function of one name, are found.
    let copies = [
        "fn copied(word: u32) -> u32 {\n    var x = word;\n    x ^= x >> 16u;\n    x *= 0x7feb352du;\n    x ^= x >> 15u;\n    \
         x *= 0x846ca68bu;\n    return x ^ (x >> 16u);\n}\n",
        "struct Matrix {\n    offset: u32,\n    stride: u32,\n    cols: u32,\n    ld: u32,\n}\n",
        "fn keep(x: f32) -> f32 {\n    return x;\n}\n",
    ];
    for source in copies {
        let with = [&files[..], &[Shader { name: "copy", source }]].concat();
        assert_eq!(doubles(&with).len(), 1, "{source}");
    }
}

#[test]
fn what_is_common_is_used() {
    let everything: Vec<Shader> = SHADERS.into_iter().chain(COMMON).collect();
    for part in COMMON {
        let name = part.name.strip_prefix("common/").expect("a common file");
        let users = everything.iter().filter(|shader| shader.uses().any(|used| used == name)).count();
        assert!(users >= 2 || part.name == "common/activations", "{name} has {users} users");
    }
    for shader in SHADERS {
        assert!(shader.uses().any(|name| name == "step" || name == "gemm"), "{} says what it uses", shader.name);
    }
}

/// The codes of the activations, slopes, losses and settings are those of the Rust side.
#[test]
fn codes_match() {
    let constant = |module: &Module, name: &str| {
        let found = module.constants.iter().find(|(_, c)| c.name.as_deref() == Some(name));
        let (_, constant) = found.unwrap_or_else(|| panic!("no constant {name}"));
        match module.global_expressions[constant.init] {
            naga::Expression::Literal(naga::Literal::U32(value)) => value,
            ref other => panic!("{name} is {other:?}"),
        }
    };
    let (module, _) = parse(k::activation::SHADER);
    let screaming = |a: Activation| {
        let name = serde_json::to_value(a).unwrap().as_str().unwrap().to_uppercase().replace('-', "_");
        (name, a as u32)
    };
    for (name, code) in Activation::ALL.map(screaming) {
        assert_eq!(constant(&module, &name), code, "{name}");
    }
    assert_eq!(constant(&module, "GIVEN"), k::SlopeRule::Given.code());
    let (module, _) = parse(k::loss::SHADER);
    use k::LossKind::{Ce, Huber, Mae, Mse};
    for kind in [Ce, Mae, Mse, Huber] {
        assert_eq!(constant(&module, &kind.name().to_uppercase()), kind as u32, "{kind:?}");
    }
    let (module, _) = parse(k::adam::SHADER);
    let settings = [
        ("SEED", k::SETTING_SEED),
        ("REG_LAMBDA", k::SETTING_REG_LAMBDA),
        ("REG_PSI", k::SETTING_REG_PSI),
        ("RATE", k::SETTING_RATE),
    ];
    for (name, place) in settings {
        assert_eq!(constant(&module, name) as usize, place, "{name}");
    }
}

#[test]
fn lines_lead_back_to_their_files() {
    let broken = Shader { name: "broken", source: "// use: view, flat\nfn f() -> f32 { return nothing; }\n" };
    let composed = broken.compose();
    let lines = |name: &str| COMMON.iter().find(|s| s.name == name).unwrap().source.lines().count();
    let before =
        ["view", "invocation", "workgroup", "flat"].map(|name| lines(&format!("common/{name}"))).iter().sum::<usize>();
    assert_eq!(composed.place(1), ("shaders/common/view.wgsl".into(), 1));
    assert_eq!(composed.place(lines("common/view") + 1), ("shaders/common/invocation.wgsl".into(), 1));
    assert_eq!(composed.place(before + 2), ("shaders/broken.wgsl".into(), 2));
    assert_eq!(composed.text.lines().nth(before + 1), broken.source.lines().nth(1));
    let error = format!("no definition (wgsl:{}:19), wgsl: none", before + 2);
    assert_eq!(composed.located(&error), "no definition (shaders/broken.wgsl:2:19), wgsl: none");
}

#[test]
fn a_part_stands_once() {
    let text = Shader { name: "x", source: "// use: flat, total, workgroup\n" }.compose().text;
    assert_eq!(text.matches("override WORKGROUP").count(), 1);
}
