//! A case runs one pass on the GPU engine and on the f64 oracle, and compares what they leave behind.

use std::sync::OnceLock;

use eigenlens::engine::Session;
use eigenlens::engine::cpu::CpuSession;
use eigenlens::engine::gpu::{Gpu, GpuSession, Request};
use eigenlens::kernels::Op;
use eigenlens::kernels::Program;
use eigenlens::program::dispatch::GemmVariant;
use eigenlens::program::{Buffer, Element, Scope, Step, View};

/// Rounding of a handful of f32 operations on numbers of order 1 (2⁻²⁴ = 6e-8 each), and of the approximations in the
/// shaders (erf: 1.5e-7; a driver's exp: 3 + 2|x| units in the last place by WGSL's rules).
pub const ATOL: f64 = 2e-6;
/// The same, relative.
pub const RTOL: f64 = 4e-6;

/// The adapter under test, with the shaders' run-time checks on; `EIGENLENS_CHECKED=0` tests what users run.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| {
        let checked = std::env::var("EIGENLENS_CHECKED").map_or(true, |v| v != "0");
        Gpu::open_with(&Request::Gpu, checked)
            .unwrap_or_else(|e| panic!("the GPU tests need an adapter (scripts/test.sh installs one): {e}"))
    })
}

/// Every variant of the matrix product that this adapter runs.
pub fn gemm_variants() -> Vec<Gpu> {
    [GemmVariant::Broadcast8, GemmVariant::Tile64, GemmVariant::Tile32]
        .into_iter()
        .filter_map(|variant| gpu().with_gemm(variant).ok())
        .collect()
}

/// A small generator: the same numbers in every run.
pub struct Random(pub u64);

impl Random {
    pub fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// In −1..1, and an f32.
    pub fn unit(&mut self) -> f64 {
        f64::from((f64::from(self.word()) / 2_147_483_648.0 - 1.0) as f32)
    }
}

enum Data {
    Floats(Vec<f64>),
    Words(Vec<u32>),
}

/// What to compare, for every replica: the first rows of a view, and the zeros that pad them.
struct Expect {
    view: View,
    rows: usize,
    scale: f64,
}

pub struct Case {
    pub program: Program,
    pub random: Random,
    pub step: Step,
    writes: Vec<(Buffer, usize, usize, Data)>,
    expects: Vec<Expect>,
    words: Vec<(Buffer, usize)>,
}

pub fn step(rows: usize) -> Step {
    Step { index: 1, rows: rows as u32, begin: 2, epoch: 3, count: 5, rate: 0.01, ordering: 1, kept: 3 }
}

impl Case {
    pub fn new(replicas: usize, rows: usize) -> Self {
        Case {
            program: Program::new(replicas),
            random: Random(rows as u64 * 77 + replicas as u64),
            step: step(rows),
            writes: Vec::new(),
            expects: Vec::new(),
            words: Vec::new(),
        }
    }

    /// A matrix that the kernel only writes.
    pub fn output(&mut self, rows: usize, cols: usize) -> View {
        self.program.buffers.matrix("output", rows, cols)
    }

    /// A matrix of random numbers; NaN from row `defined` on, which a kernel must not let through.
    pub fn input(&mut self, rows: usize, cols: usize, defined: usize) -> View {
        let view = self.program.buffers.matrix("input", rows, cols);
        self.fill(view, defined, Random::unit);
        view
    }

    /// Several row vectors or matrices in one buffer, filled with random numbers.
    pub fn parameters(&mut self, shapes: &[(usize, usize)]) -> (Buffer, Vec<View>) {
        let padded = |cols: usize| cols.div_ceil(4) * 4;
        let len = shapes.iter().map(|&(rows, cols)| rows * padded(cols)).sum();
        let buffer = self.program.buffers.buffer("parameters", len, Scope::Replica, Element::Float);
        let mut offset = 0;
        let mut views = Vec::new();
        for &(rows, cols) in shapes {
            let view = View { buffer, offset, rows, cols, ld: padded(cols) };
            self.fill(view, rows, Random::unit);
            offset += rows * view.ld;
            views.push(view);
        }
        (buffer, views)
    }

    pub fn fill(&mut self, view: View, defined: usize, value: impl Fn(&mut Random) -> f64) {
        for replica in 0..self.program.buffers.replicas {
            let mut data = vec![0.0; view.rows * view.ld];
            for (r, row) in data.chunks_exact_mut(view.ld).enumerate() {
                for x in &mut row[..view.cols] {
                    *x = if r < defined { value(&mut self.random) } else { f64::NAN };
                }
            }
            self.writes.push((view.buffer, replica, view.offset, Data::Floats(data)));
        }
    }

    pub fn floats(&mut self, buffer: Buffer, replica: usize, offset: usize, data: Vec<f64>) {
        self.writes.push((buffer, replica, offset, Data::Floats(data)));
    }

    /// A buffer of words, filled for each replica by `value(random, index)`.
    pub fn words(&mut self, len: usize, scope: Scope, value: impl Fn(&mut Random, usize) -> u32) -> Buffer {
        let buffer = self.program.buffers.buffer("words", len, scope, Element::Word);
        let copies = if scope == Scope::Shared { 1 } else { self.program.buffers.replicas };
        for replica in 0..copies {
            let data = (0..len).map(|i| value(&mut self.random, i)).collect();
            self.writes.push((buffer, replica, 0, Data::Words(data)));
        }
        buffer
    }

    /// Seeds that differ, r_λ 0.25, r_ψ 0.5, factor 0.75.
    pub fn settings(&mut self) -> Buffer {
        self.words(4, Scope::Replica, |random, i| {
            [random.word(), 0.25f32.to_bits(), 0.5f32.to_bits(), 0.75f32.to_bits()][i]
        })
    }

    /// Compare the first `rows` rows of a view, with tolerances `scale` times the usual.
    pub fn expect(&mut self, view: View, rows: usize, scale: f64) {
        self.expects.push(Expect { view, rows, scale });
    }

    /// Compare the first words of a buffer exactly.
    pub fn expect_words(&mut self, buffer: Buffer, len: usize) {
        self.words.push((buffer, len));
    }

    /// Runs the operations as one pass on the GPU and on the oracle, and compares.
    pub fn check(mut self, gpu: &Gpu, ops: Vec<Op>, what: &str) {
        let pass = self.program.pass("test", ops);
        let mut oracle = CpuSession::<f64>::new(self.program.clone(), 1).unwrap();
        let mut session = GpuSession::new(gpu, self.program.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
        self.load(&mut oracle);
        self.load(&mut session);
        oracle.run(pass, &[self.step]).unwrap();
        session.run(pass, &[self.step]).unwrap_or_else(|e| panic!("{what}: {e}"));
        for replica in 0..self.program.buffers.replicas {
            for expect in &self.expects {
                compare(&mut session, &mut oracle, replica, expect, what);
            }
            for &(buffer, len) in &self.words {
                let found = session.read_words(buffer, replica, 0, len).unwrap();
                assert_eq!(found, oracle.read_words(buffer, replica, 0, len).unwrap(), "{what}, replica {replica}");
            }
        }
    }

    /// Loads and runs on the GPU only.
    pub fn run_gpu(mut self, gpu: &Gpu, ops: Vec<Op>) -> GpuSession {
        let pass = self.program.pass("test", ops);
        let mut session = GpuSession::new(gpu, self.program.clone()).unwrap();
        self.load(&mut session);
        session.run(pass, &[self.step]).unwrap();
        session
    }

    fn load(&self, session: &mut dyn Session) {
        for (buffer, replica, offset, data) in &self.writes {
            match data {
                Data::Floats(data) => session.write(*buffer, Some(*replica), *offset, data).unwrap(),
                Data::Words(data) => session.write_words(*buffer, Some(*replica), *offset, data).unwrap(),
            }
        }
    }
}

fn compare(session: &mut GpuSession, oracle: &mut CpuSession<f64>, replica: usize, expect: &Expect, what: &str) {
    let Expect { view, rows, scale } = *expect;
    let len = rows * view.ld;
    let found = session.read(view.buffer, replica, view.offset, len).unwrap();
    let wanted = oracle.read(view.buffer, replica, view.offset, len).unwrap();
    for (i, (&found, &wanted)) in found.iter().zip(&wanted).enumerate() {
        let (r, c) = (i / view.ld, i % view.ld);
        let place = || format!("{what}: replica {replica}, ({r}, {c}) of [{rows}, {}]", view.cols);
        if c >= view.cols {
            assert_eq!(found, 0.0, "{}: padding", place());
        } else if wanted.is_nan() {
            assert!(found.is_nan(), "{}: {found} instead of NaN", place());
        } else {
            let tolerance = scale * (ATOL + RTOL * wanted.abs());
            assert!((found - wanted).abs() <= tolerance, "{}: {found}, not {wanted} ± {tolerance:.1e}", place());
        }
    }
}
