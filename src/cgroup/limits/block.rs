//! Weights and rates of block devices.

use std::path::Path;

use cgroups_rs::fs::blkio::BlkIoController;
use rustix::fs::FileType;
use rustix::io::Errno;
use wharf_model::{DeviceRate, Resources};

use super::{home, refused, set};
use crate::error::{Error, Result};
use crate::group::{Group, Member};
use crate::layout::Controller;

type Throttle =
    fn(&BlkIoController, u64, u64, u64) -> std::result::Result<(), cgroups_rs::fs::error::Error>;

/// Only the weight can be changed later; the rest is written once, when it is set.
pub(super) fn change(group: &Group, from: &Resources, to: &Resources) -> Result<()> {
    if from.blkio_weight != to.blkio_weight {
        const FLAG: &str = "--blkio-weight";
        let member = home(group, FLAG, Controller::Io)?;
        let scale = Scale::of(member);
        let value = to.blkio_weight.map_or(scale.default, |weight| (scale.convert)(weight.into()));
        set(member, FLAG, scale.file, &value.to_string())?;
    }
    if from.blkio_weight_device != to.blkio_weight_device {
        const FLAG: &str = "--blkio-weight-device";
        let member = home(group, FLAG, Controller::Io)?;
        let scale = Scale::of(member);
        for DeviceRate { path, rate } in &to.blkio_weight_device {
            let (major, minor) = device(FLAG, path)?;
            let line = format!("{major}:{minor} {}", (scale.convert)(*rate));
            set(member, FLAG, scale.device_file, &line).map_err(|error| match error {
                Error::Limit { cause: Errno::OPNOTSUPP | Errno::INVAL, .. } => {
                    Error::NoWeights { device: path.clone() }
                }
                error => error,
            })?;
        }
    }
    let rates: [(&str, &[DeviceRate], &[DeviceRate], Throttle); 4] = [
        (
            "--device-read-bps",
            &from.device_read_bps,
            &to.device_read_bps,
            BlkIoController::throttle_read_bps_for_device,
        ),
        (
            "--device-write-bps",
            &from.device_write_bps,
            &to.device_write_bps,
            BlkIoController::throttle_write_bps_for_device,
        ),
        (
            "--device-read-iops",
            &from.device_read_iops,
            &to.device_read_iops,
            BlkIoController::throttle_read_iops_for_device,
        ),
        (
            "--device-write-iops",
            &from.device_write_iops,
            &to.device_write_iops,
            BlkIoController::throttle_write_iops_for_device,
        ),
    ];
    for (flag, before, after, throttle) in rates {
        if before == after {
            continue;
        }
        let member = home(group, flag, Controller::Io)?;
        let control =
            BlkIoController::new(member.path.clone(), "/".into(), member.hierarchy.unified);
        // A rate of 0 is none.
        for DeviceRate { path, rate } in after.iter().filter(|one| one.rate > 0) {
            let (major, minor) = device(flag, path)?;
            throttle(&control, major.into(), minor.into(), *rate)
                .map_err(|error| refused(flag, Controller::Io, format!("{path}:{rate}"), &error))?;
        }
    }
    Ok(())
}

/// Returns the number of a block device.
fn device(flag: &'static str, path: &str) -> Result<(u32, u32)> {
    let failed = |cause| Error::Limit { flag, value: path.to_owned(), cause };
    // An OCI bundle names devices by their numbers.
    if let Some((major, minor)) = path.split_once(':')
        && let (Ok(major), Ok(minor)) = (major.parse(), minor.parse())
    {
        return Ok((major, minor));
    }
    let found = rustix::fs::stat(Path::new(path)).map_err(failed)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::BlockDevice {
        return Err(failed(Errno::NOTBLK));
    }
    Ok((rustix::fs::major(found.st_rdev), rustix::fs::minor(found.st_rdev)))
}

/// In which file and unit this kernel takes weights: those of the BFQ scheduler where it is there,
/// since nothing else follows version 1's unit of 10 to 1000 by now.
struct Scale {
    file: &'static str,
    device_file: &'static str,
    default: u64,
    convert: fn(u64) -> u64,
}

impl Scale {
    fn of(member: &Member) -> Self {
        let has = |file: &str| member.path.join(file).exists();
        let same = |weight| weight;
        match member.hierarchy.unified {
            true if has("io.bfq.weight") => Self {
                file: "io.bfq.weight",
                device_file: "io.bfq.weight",
                default: 100,
                convert: same,
            },
            true => Self {
                file: "io.weight",
                device_file: "io.weight",
                default: 100,
                convert: io_weight,
            },
            false if has("blkio.weight") => Self {
                file: "blkio.weight",
                device_file: "blkio.weight_device",
                default: 500,
                convert: same,
            },
            false => Self {
                file: "blkio.bfq.weight",
                device_file: "blkio.bfq.weight_device",
                default: 100,
                convert: same,
            },
        }
    }
}

/// Returns the weight of `io.weight`, 1 to 10000, for one of 10 to 1000, as the OCI runtimes do it.
fn io_weight(weight: u64) -> u64 {
    1 + (weight.max(10) - 10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_span_the_whole_scale() {
        assert_eq!([10, 500, 1000].map(io_weight), [1, 4950, 10_000]);
    }
}
