//! The house is a straight tower: each room uses those above it in the map of `src/lib.rs` and no other, and inside a room no
//! two files know each other. Read from the paths in the code, so that a new arrow against the order fails here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module's path: `["data", "csv", "cell"]`; the crate's root is empty.
type Module = Vec<String>;

/// Every module of the library with its code: comments and the texts of strings are cut out.
struct House {
    code: BTreeMap<Module, String>,
}

/// A path that a file names, and whether it only passes it on (`pub use`).
struct Mention {
    path: Vec<String>,
    passed_on: bool,
}

impl House {
    fn read() -> House {
        let mut code = BTreeMap::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut folders = vec![(root, Module::new())];
        while let Some((folder, module)) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a readable folder") {
                let path = entry.expect("an entry").path();
                let name = path.file_stem().expect("a name").to_str().expect("UTF-8").to_owned();
                let inner: Module = module.iter().cloned().chain([name.clone()]).collect();
                if path.is_dir() {
                    // The programs in src/bin and src/main.rs are crates of their own, above the library.
                    if name != "bin" {
                        folders.push((path, inner));
                    }
                } else if path.extension().is_some_and(|e| e == "rs") && (!module.is_empty() || name != "main") {
                    let at = if name == "mod" || (module.is_empty() && name == "lib") { module.clone() } else { inner };
                    code.insert(at, bare(&fs::read_to_string(path).expect("a readable file")));
                }
            }
        }
        House { code }
    }

    /// A module that has others inside it: the front of its room, which names them all.
    fn is_front(&self, module: &Module) -> bool {
        self.code.keys().any(|other| other.len() > module.len() && other.starts_with(module))
    }

    /// The module that a path, as it stands in `from`, ends in: that which holds the item, through every `pub use`.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        assert!(depth < 20, "{path:?} in {from:?} goes round in circles");
        let (mut at, mut rest) = match path[0].as_str() {
            "crate" => (Module::new(), &path[1..]),
            "self" => (from.clone(), &path[1..]),
            "super" => {
                let up = path.iter().take_while(|s| *s == "super").count();
                (from[..from.len().checked_sub(up)?].to_vec(), &path[up..])
            }
            _ => (from.clone(), path),
        };
        let relative = rest.len() == path.len();
        while let Some(name) = rest.first() {
            let inner: Module = at.iter().cloned().chain([name.clone()]).collect();
            if !self.code.contains_key(&inner) {
                break;
            }
            (at, rest) = (inner, &rest[1..]);
        }
        if relative && rest.len() == path.len() {
            return None; // Another crate's, or a name that was imported.
        }
        let Some(name) = rest.first() else { return Some(at) };
        let passed = mentions(&self.code[&at]).into_iter().find(|m| m.passed_on && m.path.last() == Some(name));
        match passed {
            Some(m) if m.path != [name.clone()] => self.resolve(&at, &m.path, depth + 1),
            _ => Some(at),
        }
    }
}

/// Code without comments and without what stands between quotes.
fn bare(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let raw = rest.strip_prefix('r').map(|r| r.bytes().take_while(|&b| b == b'#').count());
        let raw = raw
            .filter(|&n| rest[1 + n..].starts_with('"') && !out.ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        let skipped = if let Some(hashes) = raw {
            let end = format!("\"{}", "#".repeat(hashes));
            rest[hashes + 2..].find(&end).map_or(rest.len(), |at| hashes + 2 + at + end.len())
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if c == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let end = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                end
            });
            end.map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") {
            3
        } else if rest.starts_with("'\\\"'") {
            4
        } else {
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[skipped..];
    }
    out
}

/// Every path in some code: those of `use` lines, braces opened, and those that begin with `crate` or `super` elsewhere.
fn mentions(code: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut others = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let before = &rest[..at];
        let alone = before.chars().next_back().is_none_or(|c| c.is_whitespace());
        let end = rest[at..].find(';').map_or(rest.len(), |end| at + end);
        if alone {
            others.push_str(before);
            let passed_on =
                before.trim_end().rsplit('\n').next().is_some_and(|line| line.trim_start().starts_with("pub"));
            let tree: String = rest[at + 4..end].split_whitespace().collect::<Vec<_>>().join(" ");
            for path in opened(&tree) {
                found.push(Mention { path, passed_on });
            }
            rest = &rest[end..];
        } else {
            others.push_str(&rest[..at + 4]);
            rest = &rest[at + 4..];
        }
    }
    others.push_str(rest);
    let word = |c: char| c.is_alphanumeric() || c == '_';
    for start in ["crate::", "super::"] {
        for (at, _) in others.match_indices(start) {
            if others[..at].chars().next_back().is_some_and(|c| word(c) || c == ':') {
                continue;
            }
            let path: String = others[at..].chars().take_while(|&c| word(c) || c == ':').collect();
            found.push(Mention { path: segments(&path), passed_on: false });
        }
    }
    found
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(|s| s.trim().to_owned()).filter(|s| !s.is_empty() && s != "*").collect()
}

/// The paths of a use tree: `a::{b, c::{d, self}}` is `a::b`, `a::c::d` and `a::c`.
fn opened(tree: &str) -> Vec<Vec<String>> {
    let Some(brace) = tree.find('{') else {
        let path = tree.split(" as ").next().expect("a split has a first part");
        let mut path = segments(path.trim_start_matches("::"));
        if path.len() > 1 && path.last().is_some_and(|s| s == "self") {
            path.pop();
        }
        return vec![path];
    };
    let (head, inner) = (segments(&tree[..brace]), &tree[brace + 1..tree.rfind('}').expect("a closed brace")]);
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (i, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).flat_map(opened);
    parts.map(|tail| head.iter().cloned().chain(tail.into_iter().filter(|s| s != "self")).collect()).collect()
}

/// The rooms in the order of the map: the names in the first column of the table in `src/lib.rs`.
fn map() -> Vec<String> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).expect("src/lib.rs");
    let rows = text.lines().filter(|line| line.starts_with("//! | [`") || line.starts_with("//! | `"));
    rows.flat_map(|row| {
        let cell = row.split(" | ").nth(1).expect("a first cell");
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn the_map_names_every_room() {
    let house = House::read();
    let rooms: BTreeSet<&String> = house.code.keys().filter(|m| m.len() == 1).map(|m| &m[0]).collect();
    let map = map();
    assert_eq!(rooms, map.iter().collect(), "the rooms, and those in the table of src/lib.rs");
    assert_eq!(map.len(), rooms.len(), "each once");
}

#[test]
fn no_arrow_runs_against_the_order_of_rooms() {
    let (house, map) = (House::read(), map());
    let floor = |module: &Module| map.iter().position(|room| *room == module[0]).expect("a room of the map");
    let mut arrows = 0;
    let mut wrong = BTreeSet::new();
    for (from, code) in house.code.iter().filter(|(module, _)| !module.is_empty()) {
        for mention in mentions(code) {
            let Some(to) = house.resolve(from, &mention.path, 0).filter(|to| !to.is_empty() && to[0] != from[0]) else {
                continue;
            };
            arrows += 1;
            if floor(&to) > floor(from) {
                wrong.insert(format!("{} uses {}", from.join("::"), mention.path.join("::")));
            }
        }
    }
    assert!(arrows > 200, "only {arrows} arrows found: does this test still read the code?");
    assert!(wrong.is_empty(), "the order of rooms is {}, but\n{}", map.join(" < "), join(&wrong));
}

/// Ways round the reading of paths that Rust allows and this crate doesn't use: the root as a whole, names that the root gives anew,
/// modules inside a file (of tests alone), code from other files.
#[test]
fn every_path_can_be_read() {
    let house = House::read();
    let mut wrong = BTreeSet::new();
    for (from, code) in &house.code {
        let code = code.split("#[cfg(test)]").next().expect("a split has a first part");
        let words: Vec<&str> = code.split_whitespace().collect();
        let inner = words.windows(3).any(|w| w[0] == "mod" && w[2] == "{");
        let hidden = ["extern crate", "include!", "#[path"].iter().any(|way| code.contains(way));
        let root = mentions(code).iter().any(|m| {
            let up = m.path.iter().take_while(|s| *s == "super").count();
            up > from.len() || house.resolve(from, &m.path, 0).is_some_and(|to| to.is_empty() && !from.is_empty())
        });
        let renamed = from.is_empty()
            && code.lines().map(str::trim).any(|line| {
                !(line.is_empty() || ["pub mod ", "mod ", "pub use "].iter().any(|k| line.starts_with(k)))
                    || line.contains(" as ")
            });
        if inner || hidden || root || renamed {
            wrong.insert(format!("{}: {}", from.join("::"), if root { "names the root" } else { "hides a path" }));
        }
    }
    assert!(wrong.is_empty(), "{}", join(&wrong));
}

/// A front (`mod.rs`, or the file beside a folder of its name) may know all its files and they it; other files don't know
/// each other both ways round.
#[test]
fn no_files_know_each_other() {
    let house = House::read();
    let mut arrows: BTreeMap<&Module, BTreeSet<Module>> = BTreeMap::new();
    for (from, code) in house.code.iter().filter(|(module, _)| !house.is_front(module)) {
        let code = code.split("#[cfg(test)]").next().expect("a split has a first part");
        let known = mentions(code).into_iter().filter_map(|m| house.resolve(from, &m.path, 0));
        arrows.insert(from, known.filter(|to| to != from && !house.is_front(to)).collect());
    }
    // What knows nothing that is left can be taken away; what can never be taken away goes round in a circle.
    loop {
        let free: Vec<&Module> = arrows
            .iter()
            .filter(|(_, known)| known.iter().all(|to| !arrows.contains_key(to)))
            .map(|(module, _)| *module)
            .collect();
        if free.is_empty() {
            break;
        }
        free.into_iter().for_each(|module| drop(arrows.remove(module)));
    }
    // And what nobody in a circle knows only stands above one.
    loop {
        let known: BTreeSet<&Module> = arrows.values().flatten().collect();
        let Some(above) = arrows.keys().find(|module| !known.contains(*module)).copied() else { break };
        arrows.remove(above);
    }
    let circles: BTreeSet<String> = arrows
        .iter()
        .map(|(from, to)| {
            let to: Vec<String> = to.iter().filter(|to| arrows.contains_key(to)).map(|to| to.join("::")).collect();
            format!("{} -> {}", from.join("::"), to.join(", "))
        })
        .collect();
    assert!(circles.is_empty(), "files that know each other:\n{}", join(&circles));
}

/// One place knows each of these crates, so that another could stand in for it.
#[test]
fn crates_are_named_in_one_room() {
    for (name, rooms) in
        [("wgpu", &["engine::gpu"][..]), ("nalgebra", &["specxai", "reproduce", "host::eigen"]), ("clap", &["cli"])]
    {
        let path = format!("{name}::");
        let users = House::read().code.into_iter().filter(|(module, code)| {
            let named = code.match_indices(&path).any(|(at, _)| {
                // `kernels::gemm::X` is a module of ours, `wgpu::X` the crate.
                !code[..at].ends_with([':', '_']) && !code[..at].chars().next_back().is_some_and(char::is_alphanumeric)
            });
            named && !rooms.iter().any(|room| module.join("::").starts_with(room))
        });
        let users: Vec<String> = users.map(|(module, _)| module.join("::")).collect();
        assert!(users.is_empty(), "{name} is for {rooms:?} alone, but {users:?} name it");
    }
}

fn join(lines: &BTreeSet<String>) -> String {
    lines.iter().cloned().collect::<Vec<_>>().join("\n")
}

/// The reader of paths, on what it must tell apart.
#[test]
fn paths_are_read_as_rust_reads_them() {
    let code = bare(
        "// use crate::no;\nuse crate::a::{self, B, c::{D, self as e}};\npub use super::x::Y;\nlet s = \"use crate::no;\";\n\
         let z = crate::f::g(1);\nuse std::fs;\nbecause x;",
    );
    let found: Vec<(String, bool)> = mentions(&code).iter().map(|m| (m.path.join("::"), m.passed_on)).collect();
    let wanted = [
        ("crate::a", false),
        ("crate::a::B", false),
        ("crate::a::c::D", false),
        ("crate::a::c", false),
        ("super::x::Y", true),
        ("std::fs", false),
        ("crate::f::g", false),
    ];
    assert_eq!(found, wanted.map(|(path, on)| (path.to_owned(), on)));
}

/// A file of tests that nothing names would be silently left out, as `autotests` is off.
#[test]
fn every_file_of_tests_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("a readable file");
    let (suite, manifest) = (read("tests/main.rs"), read("Cargo.toml"));
    for entry in fs::read_dir(root.join("tests")).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_str().expect("UTF-8");
        if path.extension().is_none_or(|e| e != "rs") || name == "main" {
            continue;
        }
        let named = suite.lines().any(|line| line == format!("mod {name};"))
            || manifest.contains(&format!("[[test]]\nname = \"{name}\""));
        assert!(named, "tests/{name}.rs is neither a `mod` of tests/main.rs nor a [[test]] of Cargo.toml");
    }
}
