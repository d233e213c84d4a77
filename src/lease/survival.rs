//! Whether a local file would be there after a restart.

use std::path::{Path, PathBuf};

/// What is known of the place that the process runs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What restarts it elsewhere, or with an empty disk.
    pub orchestrator: Option<&'static str>,
    /// Whether it is a container.
    pub is_container: bool,
    /// Where file systems are mounted, and of which type.
    pub mounts: Vec<(PathBuf, String)>,
}

/// Types of file systems that are gone with the container or the machine.
const VANISHING: [&str; 4] = ["overlay", "aufs", "tmpfs", "ramfs"];

impl Surroundings {
    /// Looks around: at the environment and at `/proc`.
    #[must_use]
    pub fn look() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some();
        let orchestrator = if is_set("KUBERNETES_SERVICE_HOST") {
            Some("Kubernetes")
        } else if is_set("ECS_CONTAINER_METADATA_URI_V4") || is_set("ECS_CONTAINER_METADATA_URI") {
            Some("ECS")
        } else {
            None
        };
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").map(|text| mounts(&text)).unwrap_or_default();
        let is_marked = ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists());
        // A container's root is laid over its image.
        let is_layered = mounts.iter().any(|(at, kind)| at == Path::new("/") && VANISHING.contains(&kind.as_str()));
        Self { orchestrator, is_container: is_marked || is_layered, mounts }
    }
}

/// Says why a file at this absolute path would not survive a restart, if so. Pure.
#[must_use]
pub fn vanishes(path: &Path, surroundings: &Surroundings) -> Option<String> {
    if let Some(orchestrator) = surroundings.orchestrator {
        return Some(format!(
            "on {orchestrator} the next copy may start on another machine, without {}",
            path.display()
        ));
    }
    if !surroundings.is_container {
        return None;
    }
    let holding = surroundings.mounts.iter().filter(|(at, _)| path.starts_with(at));
    let (at, kind) = holding.max_by_key(|(at, _)| at.components().count())?;
    let is_own = at != Path::new("/") && !VANISHING.contains(&kind.as_str());
    (!is_own).then(|| format!("{} is on the container's own disk ({kind}), which a restart wipes", path.display()))
}

/// Reads `/proc/self/mountinfo` (its manual page: `proc_pid_mountinfo`): the fifth field is the mount point, with spaces as `\040`; the type
/// stands behind a lone dash.
fn mounts(text: &str) -> Vec<(PathBuf, String)> {
    let mount = |line: &str| {
        let at = line.split(' ').nth(4)?.replace("\\040", " ");
        let kind = line.split_once(" - ")?.1.split(' ').next()?;
        Some((PathBuf::from(at), kind.to_owned()))
    };
    text.lines().filter_map(mount).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards the judgement: what is lost silently on a restart is said, and what is kept is left in peace.
    #[test]
    fn files_vanish_where_they_do() {
        let table = "22 1 0:21 / / rw - overlay overlay rw\n\
                     30 22 8:1 /v /var/lib/siem\\040line rw - ext4 /dev/sda1 rw\n\
                     31 22 0:5 / /tmp rw - tmpfs tmpfs rw\n\
                     broken line\n";
        let mounts = mounts(table);
        assert_eq!(mounts.len(), 3);
        let container = Surroundings { orchestrator: None, is_container: true, mounts: mounts.clone() };
        let host = Surroundings { is_container: false, ..container.clone() };
        let pod = Surroundings { orchestrator: Some("Kubernetes"), ..container.clone() };
        for (path, surroundings, expected) in [
            ("/app/checkpoints/a.json", &container, Some("container's own disk (overlay)")),
            ("/tmp/a.json", &container, Some("tmpfs")),
            ("/var/lib/siem line/a.json", &container, None),
            ("/app/checkpoints/a.json", &host, None),
            ("/var/lib/siem line/a.json", &pod, Some("on Kubernetes")),
        ] {
            let why = vanishes(Path::new(path), surroundings);
            match expected {
                Some(words) => assert!(why.as_ref().is_some_and(|why| why.contains(words)), "{path}: {why:?}"),
                None => assert_eq!(why, None, "{path}"),
            }
        }
    }
}
