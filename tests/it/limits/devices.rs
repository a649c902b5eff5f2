//! Devices that a container may use, and those that it may not.

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::harness::{IMAGE, Lab, Test, folder};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_device_is_there_with_its_permissions,
        rules_open_devices_by_number,
        a_folder_of_devices_is_given_whole,
        what_is_no_device_is_refused,
    ]
}

/// A device number that no container may use by default: a driver need not be there, since the
/// filter is asked first.
const MAJOR: u32 = 10;
const MINOR: u32 = 200;

/// Tries a node for reading and writing, and says what the filter says: any other failure is that
/// of a driver that isn't there.
const TRY: &str = "for how in r w; do \
    if [ $how = r ]; then said=$( (exec 3<$N) 2>&1 ); else said=$( (exec 3>$N) 2>&1 ); fi; \
    case $said in *'not permitted'*) echo $how denied;; *) echo $how allowed;; esac; done";

fn node(path: &std::path::Path) {
    let mode = Mode::from_raw_mode(0o640);
    mknodat(CWD, path, FileType::CharacterDevice, mode, makedev(MAJOR, MINOR)).unwrap();
}

fn tried(lab: &Lab, flags: &[&str], path: &str) -> String {
    lab.shell(flags, &format!("N={path}; {TRY}")).replace('\n', ", ")
}

fn a_device_is_there_with_its_permissions() {
    let lab = Lab::new();
    let folder = folder();
    let host = folder.join("node");
    node(&host);
    let host = host.to_str().unwrap();
    let mapped = |permissions: &str| format!("{host}:/dev/deep/er{permissions}");
    for (permissions, expected) in [
        ("", "r allowed, w allowed"),
        (":r", "r allowed, w denied"),
        (":w", "r denied, w allowed"),
        (":m", "r denied, w denied"),
    ] {
        let flags = ["--device", &mapped(permissions)];
        assert_eq!(tried(&lab, &flags, "/dev/deep/er"), expected, "{permissions}");
    }
    let flags = ["--device", &mapped("")];
    let listed = lab.shell(&flags, "stat -c '%A %t:%T %u:%g' /dev/deep/er");
    assert_eq!(listed, "crw-r----- a:c8 0:0");
    // Without the flag a node can be made, and is of no use.
    let line = format!("mknod /n c {MAJOR} {MINOR}; N=/n; {TRY}");
    assert_eq!(lab.shell(&[], &line), "r denied\nw denied");
    // Privileged, everything may be used, and the node is there all the same.
    let listed =
        lab.shell(&["--privileged", "--device", &mapped(":r")], "stat -c %t:%T /dev/deep/er");
    assert_eq!(listed, "a:c8");
    let privileged = ["--privileged", "--device", &mapped(":r")];
    assert_eq!(tried(&lab, &privileged, "/dev/deep/er"), "r allowed, w allowed");
    // What a container gets is in inspect, and holds for further programs and again at a restart.
    let id = lab.start(&["--device", &mapped(":r")], "sleep 1000");
    let device = lab.inspect(&id, "/HostConfig/Devices/0");
    assert_eq!(device["PathInContainer"], "/dev/deep/er");
    assert_eq!(device["CgroupPermissions"], "r");
    for _ in 0..2 {
        let line = format!("N=/dev/deep/er; {TRY}");
        assert_eq!(lab.ok(&["exec", &id, "sh", "-c", &line]), "r allowed\nw denied");
        lab.ok(&["restart", "-t", "0", &id]);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

fn rules_open_devices_by_number() {
    let lab = Lab::new();
    let line = format!("mknod /n c {MAJOR} {MINOR}; N=/n; {TRY}");
    let of = |rule: &str| lab.shell(&["--device-cgroup-rule", rule], &line).replace('\n', ", ");
    assert_eq!(of("c 10:200 r"), "r allowed, w denied");
    assert_eq!(of("c 10:* w"), "r denied, w allowed");
    assert_eq!(of("c *:* rwm"), "r allowed, w allowed");
    assert_eq!(of("a *:* rwm"), "r allowed, w allowed");
    assert_eq!(of("c 10:201 rwm"), "r denied, w denied");
    assert_eq!(of("b 10:200 rwm"), "r denied, w denied");
    // What is allowed by default stays so.
    let flags = ["--device-cgroup-rule", "c 10:200 r"];
    assert_eq!(lab.shell(&flags, "echo x >/dev/null && echo written"), "written");
}

fn a_folder_of_devices_is_given_whole() {
    let lab = Lab::new();
    let folder = folder();
    std::fs::create_dir(folder.join("below")).unwrap();
    node(&folder.join("one"));
    node(&folder.join("below/two"));
    std::fs::write(folder.join("plain"), "secret").unwrap();
    let mapped = format!("{}:/dev/all:r", folder.display());
    let listed = lab.shell(&["--device", &mapped], "cd /dev/all; find . | sort");
    assert_eq!(listed, ".\n./below\n./below/two\n./one");
    let flags = ["--device", &mapped];
    assert_eq!(tried(&lab, &flags, "/dev/all/below/two"), "r allowed, w denied");
    std::fs::remove_dir_all(folder).unwrap();
}

fn what_is_no_device_is_refused() {
    let lab = Lab::new();
    let run = |device: &str, why: &str| {
        let says = format!(
            "error gathering device information while adding custom device \"{device}\": {why}"
        );
        lab.fails(125, &says, &["run", "--rm", "--device", device, IMAGE, "true"]);
    };
    run("/nonexistent", "no such file or directory");
    run("/etc/passwd", "not a device node");
    run("/proc/self", "not a device node");
    lab.fails(125, "x is not an absolute path", &["run", "--device", "x", IMAGE]);
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
}
