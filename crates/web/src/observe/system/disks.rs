//! Usage of the file systems on disks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use procfs::process::MountInfo;

use metricsjob_metrics::{Family, Kind, Labels, Value};

/// File system types with disks of their own, although the system lists them as having none.
const REAL: [&str; 2] = ["zfs", "bcachefs"];

/// File system types that need a device but are always full, because they are read-only images.
const IMAGES: [&str; 6] = ["squashfs", "erofs", "cramfs", "romfs", "iso9660", "udf"];

/// Prefixes of the types where another machine or process may block the caller forever.
const REMOTE: [&str; 11] = [
    "nfs", "cifs", "smb", "fuse", "9p", "ceph", "afs", "coda", "lustre", "beegfs", "gpfs",
];

/// A file system whose usage is reported.
#[derive(Debug, PartialEq)]
struct Disk {
    mount_point: PathBuf,
    device: String,
}

/// Returns the disk metrics, or none if there are no disks.
pub fn families() -> Vec<Family> {
    let mut usage = Vec::new();
    let mut total = Vec::new();
    for disk in disks(&read("/proc/self/mountinfo"), &read("/proc/filesystems")) {
        let Ok(found) = statvfs(&disk.mount_point) else {
            continue;
        };
        let unit = found.fragment_size() as f64;
        let [all, free] = [found.blocks(), found.blocks_free()].map(|blocks| blocks as f64 * unit);
        let mount_point = disk.mount_point.to_string_lossy();
        let labels = Labels::from([("mount_point", &*mount_point), ("device", &disk.device)]);
        usage.push((labels.clone(), Value::Number(all - free)));
        total.push((labels, Value::Number(all)));
    }
    let of = |name: &str, help: &str, series| Family::new(name, help, Kind::Gauge, series);
    let families = [
        of(
            "system_disk_usage_bytes",
            "How much of a file system is in use.",
            usage,
        ),
        of(
            "system_disk_total_bytes",
            "How large a file system is.",
            total,
        ),
    ];
    let is_any = |family: &Family| !family.metrics.is_empty();
    families.into_iter().filter(is_any).collect()
}

/// Reads a text file. A path in it may be invalid UTF-8; that one will not be found.
fn read(path: &str) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns one mount point of each device, the shortest; the others are bind mounts.
fn disks(mountinfo: &str, filesystems: &str) -> Vec<Disk> {
    let mounts = mountinfo
        .lines()
        .filter_map(|line| MountInfo::from_line(line).ok());
    let (remote, others): (Vec<_>, Vec<_>) =
        mounts.partition(|mount| REMOTE.iter().any(|name| mount.fs_type.starts_with(name)));
    // Reaching such a mount would access the remote file system too.
    let is_behind_remote = |path: &Path| {
        let mut remote = remote.iter();
        remote.any(|remote| path.starts_with(unescaped(&remote.mount_point)))
    };
    let on_devices: Vec<&str> = filesystems
        .lines()
        .filter_map(|line| line.strip_prefix('\t'))
        .collect();
    let mut disks: BTreeMap<String, PathBuf> = BTreeMap::new();
    for mount in others {
        let name = mount.fs_type.as_str();
        let mount_point = unescaped(&mount.mount_point);
        let is_disk = match name {
            // The root of a container. A host has one of these for each container, on a disk that is listed
            // anyway.
            "overlay" => mount_point == Path::new("/"),
            name => on_devices.contains(&name) && !IMAGES.contains(&name) || REAL.contains(&name),
        };
        if !is_disk || is_behind_remote(&mount_point) {
            continue;
        }
        match disks.entry(mount.mount_source.unwrap_or_default()) {
            Entry::Vacant(entry) => drop(entry.insert(mount_point)),
            Entry::Occupied(mut entry) => {
                if mount_point.as_os_str().len() < entry.get().as_os_str().len() {
                    entry.insert(mount_point);
                }
            }
        }
    }
    let disk = |(device, mount_point)| Disk {
        mount_point,
        device,
    };
    disks.into_iter().map(disk).collect()
}

/// Undoes the escaping of spaces, tabs, line breaks and backslashes as three octal digits (proc(5)), which
/// `procfs` does not undo.
fn unescaped(path: &Path) -> PathBuf {
    let path = path.to_string_lossy();
    let mut parts = path.split('\\');
    let first = parts.next().unwrap_or_default().to_owned();
    let whole = parts.fold(first, |mut whole, part| {
        let code = part.get(..3);
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(code) => {
                whole.push(code.into());
                whole.push_str(&part[3..]);
            }
            None => whole.extend(["\\", part]),
        }
        whole
    });
    whole.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_they_are() {
        let filesystems =
            "nodev\tproc\nnodev\ttmpfs\nnodev\toverlay\n\text4\n\txfs\n\tsquashfs\n\tfuseblk\n";
        let mountinfo = "\
22 27 0:21 / /proc rw - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
28 27 254:0 /a /etc/hosts rw - ext4 /dev/vda rw
29 27 254:1 / /data/a\\040b\\134 rw - xfs /dev/vdb rw
30 27 254:1 / /srv rw - xfs /dev/vdb rw
31 27 7:0 / /snap/x ro - squashfs /dev/loop0 ro
32 27 0:40 / /mnt/far rw - nfs4 host:/ rw
33 32 254:2 / /mnt/far/near rw - ext4 /dev/vdc rw
34 27 254:3 / /mnt/farther rw - ext4 /dev/vdd rw
35 27 0:41 / /run/user rw - tmpfs tmpfs rw
36 27 0:42 / /var/lib/docker/x rw - overlay overlay rw
37 27 254:4 / /mnt/stick rw - fuseblk /dev/sdb1 rw
38 27 0:43 / /tank rw - zfs tank rw
not a mount
";
        let found: Vec<_> = disks(mountinfo, filesystems)
            .into_iter()
            .map(|disk| (disk.mount_point.display().to_string(), disk.device))
            .collect();
        let expected = [
            ("/", "/dev/vda"),
            ("/srv", "/dev/vdb"),
            ("/mnt/farther", "/dev/vdd"),
            ("/tank", "tank"),
        ];
        assert_eq!(
            found,
            expected.map(|(path, device)| (path.into(), device.into()))
        );
        let container = "1 0 0:9 / / rw - overlay overlay rw\n";
        assert_eq!(
            disks(container, filesystems),
            [Disk {
                mount_point: "/".into(),
                device: "overlay".into()
            }]
        );
    }

    #[test]
    fn paths() {
        for (written, path) in [
            ("/a", "/a"),
            (r"/a\040b\134c\011", "/a b\\c\t"),
            (r"/a\b\0", r"/a\b\0"),
        ] {
            assert_eq!(unescaped(Path::new(written)), Path::new(path));
        }
    }

    #[test]
    fn usage_is_within_total() {
        for pair in families().chunks(2) {
            for (usage, total) in pair[0].metrics.iter().zip(&pair[1].metrics) {
                let (Value::Number(usage_bytes), Value::Number(total_bytes)) =
                    (&usage.value, &total.value)
                else {
                    panic!("no numbers")
                };
                assert_eq!(usage.labels, total.labels);
                assert!((0.0..=*total_bytes).contains(usage_bytes));
            }
        }
    }
}
