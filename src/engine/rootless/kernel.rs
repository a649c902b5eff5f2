//! Why a host lets an ordinary user make no user namespace, and the way out.

use std::io;
use std::path::Path;

use rustix::io::Errno;
use wharf_model::ErrorKind;

use crate::Error;

const MAXIMUM: &str = "/proc/sys/user/max_user_namespaces";
/// Debian's and Arch's own setting.
const DEBIAN: &str = "/proc/sys/kernel/unprivileged_userns_clone";
/// Ubuntu's, from 23.10 on.
const APPARMOR: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";

/// Returns a setting of the running kernel, if it has it.
pub(super) fn read_setting(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(path)).ok().map(|text| text.trim().to_owned())
}

/// Returns the error for `operation` that the kernel has refused: the setting that is the reason and
/// how it is changed, or what the kernel said.
pub(super) fn refused(
    operation: &str,
    cause: io::Error,
    setting: &dyn Fn(&str) -> Option<String>,
) -> Error {
    let is = |path: &str, value: &str| setting(path).as_deref() == Some(value);
    let errno = Errno::from_io_error(&cause);
    let denied = matches!(errno, Some(Errno::PERM | Errno::ACCESS));
    let way = if is(MAXIMUM, "0") {
        "this host allows no user namespaces; as root: sysctl user.max_user_namespaces=15000"
    } else if errno == Some(Errno::NOSPC) || errno == Some(Errno::USERS) {
        "there are as many user namespaces as this host allows; as root raise \
         user.max_user_namespaces"
    } else if denied && is(DEBIAN, "0") {
        "this host keeps user namespaces from ordinary users; as root: sysctl \
         kernel.unprivileged_userns_clone=1"
    } else if denied && is(APPARMOR, "1") {
        "AppArmor keeps user namespaces from programs without a profile; as root: sysctl \
         kernel.apparmor_restrict_unprivileged_userns=0, or give wharf a profile with the rule \
         \"userns,\" in /etc/apparmor.d"
    } else if errno == Some(Errno::INVAL) || errno == Some(Errno::NOSYS) {
        "this kernel has no user namespaces (CONFIG_USER_NS); run wharf as root"
    } else {
        return Error::failed(operation, cause);
    };
    Error::new(ErrorKind::Denied, format!("{operation}: {way}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_way_out() {
        let say = |errno: Errno, path: &'static str, value: &'static str| {
            let setting = move |asked: &str| (asked == path).then(|| value.to_owned());
            refused("make a user namespace", errno.into(), &setting).to_string()
        };
        for (errno, path, value, part) in [
            (Errno::NOSPC, MAXIMUM, "0", "sysctl user.max_user_namespaces=15000"),
            (Errno::NOSPC, MAXIMUM, "100", "raise user.max_user_namespaces"),
            (Errno::PERM, DEBIAN, "0", "sysctl kernel.unprivileged_userns_clone=1"),
            (Errno::PERM, APPARMOR, "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
            (Errno::ACCESS, APPARMOR, "1", "AppArmor"),
            (Errno::INVAL, "", "", "CONFIG_USER_NS"),
        ] {
            let text = say(errno, path, value);
            assert!(text.starts_with("make a user namespace: ") && text.contains(part), "{text}");
        }
        // What has another reason is told as it is.
        let text = say(Errno::PERM, DEBIAN, "1");
        assert!(text.contains("not permitted"), "{text}");
    }
}
