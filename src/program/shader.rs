//! A kernel's WGSL: its own file behind those of `shaders/common` that its first line names.
//!
//! WGSL has no imports. A file says `// use: view, total` in its first line, and gets those parts (and what they use in turn),
//! each once, before its own text. Lines of the composed text lead back to their files, so that an error names the right one.

/// A file in `shaders/`.
#[derive(Debug, Clone, Copy)]
pub struct Shader {
    /// Base name of the file.
    pub name: &'static str,
    pub source: &'static str,
}

/// Names `shaders/$name.wgsl`.
macro_rules! shader {
    ($name:literal) => {
        $crate::program::shader::Shader {
            name: $name,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $name, ".wgsl")),
        }
    };
}
pub(crate) use shader;

/// What kernels share: the files of `shaders/common`.
pub const COMMON: [Shader; 15] = [
    shader!("common/activations"),
    shader!("common/flat"),
    shader!("common/forms"),
    shader!("common/gemm"),
    shader!("common/invocation"),
    shader!("common/mix"),
    shader!("common/normed"),
    shader!("common/plane"),
    shader!("common/settings"),
    shader!("common/step"),
    shader!("common/tiny"),
    shader!("common/total"),
    shader!("common/view"),
    shader!("common/window"),
    shader!("common/workgroup"),
];

impl Shader {
    /// The names in its first line.
    pub fn uses(&self) -> impl Iterator<Item = &'static str> {
        let line = self.source.lines().next().unwrap_or_default();
        line.strip_prefix("// use: ").into_iter().flat_map(|names| names.split(", "))
    }

    /// The whole module: what it uses, then its own text.
    pub fn compose(&self) -> Composed {
        let mut files = Vec::new();
        self.collect(&mut files);
        let mut text = String::new();
        let mut parts = Vec::new();
        for file in files {
            parts.push((text.lines().count(), file.name));
            text.push_str(file.source);
        }
        Composed { text, parts }
    }

    fn collect(self, files: &mut Vec<Shader>) {
        for name in self.uses() {
            let path = |file: &&Shader| file.name.strip_prefix("common/") == Some(name);
            let part = COMMON.iter().find(path);
            let part =
                part.unwrap_or_else(|| panic!("invariant: shaders/{}.wgsl uses shaders/common/{name}.wgsl", self.name));
            if files.iter().all(|file| file.name != part.name) {
                part.collect(files);
            }
        }
        files.push(self);
    }
}

/// The text of a module, and where its lines come from.
#[derive(Debug, Clone)]
pub struct Composed {
    pub text: String,
    /// Lines before each file, and its name.
    parts: Vec<(usize, &'static str)>,
}

impl Composed {
    /// The file of a line of the text, and the line there; both from 1.
    pub fn place(&self, line: usize) -> (String, usize) {
        let &(before, name) = self.parts.iter().rev().find(|(before, _)| *before < line).unwrap_or(&self.parts[0]);
        (format!("shaders/{name}.wgsl"), line - before)
    }

    /// A compiler's message with every `wgsl:LINE` in it turned into the file and the line there.
    pub fn located(&self, message: &str) -> String {
        let mut pieces = message.split("wgsl:");
        let mut out = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            match piece[..digits].parse() {
                Ok(line) => {
                    let (file, line) = self.place(line);
                    out.push_str(&format!("{file}:{line}{}", &piece[digits..]));
                }
                Err(_) => out.push_str(&format!("wgsl:{piece}")),
            }
        }
        out
    }
}
