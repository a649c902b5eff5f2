//! The plain data that every other crate speaks: identifiers, container and image descriptions,
//! samples, log records, events, and the one command type that changes anything.
//!
//! Nothing here does I/O. Values flow from the engine (or a remote engine's adapter) through a
//! backend to the dashboard and the command line, and commands flow the other way.

mod archive;
mod command;
mod container;
mod error;
mod event;
mod filter;
mod host;
mod id;
mod image;
mod log;
pub mod mounts;
mod network;
mod recording;
mod reference;
mod stats;
mod system;
mod transfer;
mod usage;
mod userns;
mod volume;

pub use archive::{Change, ChangeKind, CommitOptions, PathStat};
pub use command::{Command, Outcome, RemoveOptions};
pub use container::{
    Attach, ContainerConfig, ContainerDetail, ContainerSize, ContainerState, ContainerSummary,
    CreateOptions, Created, EndpointInfo, ExecSpec, Health, HealthStatus, MountInfo, PortBinding,
    ProbeResult, Status, TARGET, TOOLBOX, TOOLBOX_IMAGE, TermSize, TopTable,
};
pub use error::{ErrorKind, ParseError};
pub use event::{Event, EventKind, is_passing};
pub use filter::{ContainerListOptions, EventOptions, Filters, ImageListOptions};
pub use host::{
    Bind, DeviceMapping, DeviceRate, HealthAction, HealthCheck, HostConfig, LogConfig, LogDriver,
    MASKED_PATHS, Mount, MountKind, NamespaceMode, NetworkMode, Propagation, READ_ONLY_PATHS,
    ReadOnlyBelow, Resources, RestartKind, RestartPolicy, SeccompMode, Ulimit, UpdateOptions,
    VolumeMount,
};
pub use id::{ContainerId, Digest};
pub use image::{
    FileCount, HistoryEntry, ImageConfig, ImageDetail, ImageSummary, ImportOptions, LayerChanges,
    LayerInfo, LayerSpace, ManifestDescriptor,
};
pub use log::{LogOptions, LogRecord, LogStream};
pub use network::{
    AddressPool, EndpointDetail, EndpointOptions, NetworkCreateOptions, NetworkEndpoint,
    NetworkInfo, PublishedPort, ReachAnswer, ReachQuestion,
};
pub use recording::{
    CORE_UNIT, Happening, HostMoment, LONGEST_STEP, Moment, Probes, Recorded, Recording, What,
    since_epoch,
};
pub use reference::{ImageName, ImageReference, Repository};
pub use stats::{
    BlockCounters, CpuCounters, DetailSample, DeviceCounters, HostSample, Limit, MemoryCounters,
    NetCounters, PidCounters, Pressure, PressureLine, Sample,
};
pub use system::{EngineInfo, VersionInfo};
pub use transfer::{LayerState, PullOptions, Pulled, PushOptions, Pushed, TransferEvent};
pub use usage::{DiskUsage, ImageUsage, Space};
pub use userns::UsernsMode;
pub use volume::{
    FileChange, FileEntry, FileHead, FileKind, FolderList, VolumeCreateOptions, VolumeInfo,
    VolumeUser,
};
