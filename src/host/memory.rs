//! How much memory the process may still take: allocating more ends it, so what is large is asked for first.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Address space that threads, their stacks and the allocator's arenas take beside what is counted, under a limit of it.
const ASIDE: u64 = 128 << 20;

/// Bytes that are taken without being asked for.
const LITTLE: u64 = 16 << 20;

/// Refuses what takes so many bytes at once where they aren't there.
///
/// # Errors
/// [`Error::Device`] that says how much is needed and how much there is. `what` takes it; `remedy` completes the sentence.
pub(crate) fn refuse_beyond_memory(what: &str, bytes: u64, remedy: &str) -> Result<()> {
    // So little isn't worth asking the system for.
    if bytes <= LITTLE {
        return Ok(());
    }
    match available_memory() {
        Some(available) if bytes > available => Err(Error::Device(format!(
            "{what} needs {} MiB, but only {} MiB of memory are free; {remedy}",
            bytes.div_ceil(1 << 20),
            available >> 20,
        ))),
        _ => Ok(()),
    }
}

/// Free memory in bytes, where the system tells it: the machine's, what the process's limits leave of it, and what its control
/// groups do (a container's limit is that of one).
pub(crate) fn available_memory() -> Option<u64> {
    available_under(Path::new("/"))
}

/// The same of a system whose files are in a folder.
fn available_under(root: &Path) -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let machine = read("proc/meminfo").and_then(|text| kib_of(&text, "MemAvailable:"));
    let limits = read("proc/self/limits").unwrap_or_default();
    let status = read("proc/self/status").unwrap_or_default();
    let within = |limit: &str, used: &str| {
        let limit = limits.lines().find_map(|line| line.strip_prefix(limit))?.split_whitespace().next()?.parse::<u64>();
        Some(limit.ok()?.saturating_sub(kib_of(&status, used)?).saturating_sub(ASIDE))
    };
    let groups = read("proc/self/cgroup").unwrap_or_default();
    let groups = groups.lines().filter_map(|line| group_headroom(root, line));
    let process = [within("Max address space", "VmSize:"), within("Max data size", "VmData:")];
    [machine].into_iter().chain(process).flatten().chain(groups).min()
}

/// A figure of `Name: 123 kB`, in bytes.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// What the tightest of a control group and those above it leaves. `line`: `0::/path` of version 2, `9:memory:/path` of version 1.
fn group_headroom(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    // Files of the limit and of the use, and the line of what the system takes back for the asking: the cache of files.
    let (folder, [most, used, cache]) = match controllers {
        "" => ("sys/fs/cgroup", ["memory.max", "memory.current", "inactive_file"]),
        _ if controllers.split(',').any(|name| name == "memory") => {
            ("sys/fs/cgroup/memory", ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"])
        }
        _ => return None,
    };
    let headroom = |group: PathBuf| {
        let read = |file: &str| std::fs::read_to_string(group.join(file)).ok();
        let number = |file: &str| read(file)?.trim().parse::<u64>().ok();
        let reclaimed = read("memory.stat").and_then(|text| {
            text.lines().find_map(|line| line.strip_prefix(cache)?.strip_prefix(' ')?.parse::<u64>().ok())
        });
        Some(number(most)?.saturating_sub(number(used)?.saturating_sub(reclaimed.unwrap_or(0))))
    };
    // In a container the path may be one outside it: its own group is the folder itself then.
    let folder = root.join(folder);
    Path::new(path.trim_start_matches('/')).ancestors().filter_map(|group| headroom(folder.join(group))).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn system(files: &[(&str, String)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        available_under(root.path())
    }

    #[test]
    fn the_tightest_limit_counts() {
        let machine = ("proc/meminfo", format!("MemTotal: 1 kB\nMemAvailable:   {} kB\n", 8192 * 1024));
        assert_eq!(system(&[]), None);
        assert_eq!(system(std::slice::from_ref(&machine)), Some(8192 * MIB));
        let limits = |space: &str| {
            let line = |name: &str, most: &str| format!("{name:<26}{most:<21}unlimited            bytes\n");
            ("proc/self/limits", line("Max data size", "unlimited") + &line("Max address space", space))
        };
        let status = ("proc/self/status", "VmPeak:\t9 kB\nVmSize:\t 1048576 kB\nVmData:\t 7 kB\n".to_owned());
        let four = (4096 * MIB).to_string();
        assert_eq!(system(&[machine.clone(), limits(&four), status.clone()]), Some(3072 * MIB - ASIDE));
        assert_eq!(system(&[machine.clone(), limits("unlimited"), status.clone()]), Some(8192 * MIB));
        assert_eq!(system(&[machine.clone(), limits("4096"), status]), Some(0));
        // A group of version 2 inside one that is tighter; the cache of files is taken back.
        let two = |name: &str, text: String| (name.to_owned(), text);
        let files = [
            two("proc/self/cgroup", "0::/outer/inner\n".into()),
            two("sys/fs/cgroup/outer/memory.max", (2048 * MIB).to_string() + "\n"),
            two("sys/fs/cgroup/outer/memory.current", (1024 * MIB).to_string() + "\n"),
            two("sys/fs/cgroup/outer/memory.stat", format!("anon 5\nactive_file 9\ninactive_file {}\n", 512 * MIB)),
            two("sys/fs/cgroup/outer/inner/memory.max", "max\n".into()),
            two("sys/fs/cgroup/outer/inner/memory.current", "17\n".into()),
            two(machine.0, machine.1.clone()),
        ];
        let named: Vec<(&str, String)> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
        assert_eq!(system(&named), Some(1536 * MIB));
        // Version 1, in a container: the path is that outside it.
        let one = [
            machine,
            ("proc/self/cgroup", "3:cpu:/x\n9:memory:/docker/abc\n".into()),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", (1024 * MIB).to_string()),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", (256 * MIB).to_string()),
        ];
        assert_eq!(system(&one), Some(768 * MIB));
    }

    #[test]
    fn what_is_more_than_any_machine_has_is_refused() {
        refuse_beyond_memory("nothing", 0, "x").unwrap();
        let Some(_) = available_memory() else { return };
        let text = refuse_beyond_memory("the run", u64::MAX, "take less").unwrap_err().to_string();
        assert!(text.starts_with("the run needs ") && text.ends_with("; take less"), "{text}");
    }
}
