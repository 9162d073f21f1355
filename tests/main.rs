//! The integration tests as one program: each program of its own would be linked with everything, 120 MB and seconds apiece. One file's
//! tests: `cargo test --release --test suite FILE::`. (`matrix_free.rs` counts what lives on the heap, so it is a program by itself.)

mod common;
// The library's own writer of ONNX files, to write files for it to read.
#[path = "../src/model_file/onnx/encode.rs"]
#[allow(dead_code)]
mod encode;
#[path = "../src/model_file/onnx/samples.rs"]
#[allow(dead_code)]
mod samples;

mod adam;
mod assess;
mod channels;
mod cli;
mod conv_cli;
mod data;
mod divergence;
mod engines;
mod experiments;
mod explain_cli;
mod forms;
mod gpu;
mod gpu_activations;
mod gpu_gemm;
mod gpu_local;
mod gpu_spatial;
mod gpu_training;
mod gradients;
mod hostile;
mod idx;
mod lasso;
mod local_forms;
mod loss;
mod npz;
mod numbers;
mod onnx;
mod onnx_given;
mod onnx_operators;
mod onnx_shapes;
mod pages_cli;
mod pictures;
mod pieces;
mod plan;
mod report;
mod reproduce_cli;
mod rooms;
mod row_lists;
mod runs;
mod select;
mod select_channels;
mod shaders;
mod spatial;
mod specxai;
mod split;
mod stellar;
mod surgery;
mod tables;
mod training;
mod weights;
