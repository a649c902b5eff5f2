//! Writing messages: `struct nlmsghdr`, a family's fixed header, attributes.

/// This is a request.
pub(super) const REQUEST: u16 = 0x1;
/// Answer even when all went well.
pub(super) const ACK: u16 = 0x4;
/// Answer with every object.
pub(super) const DUMP: u16 = 0x300;
/// Put the object in the place of one that exists.
pub(super) const REPLACE: u16 = 0x100;
/// Fail if the object exists.
pub(super) const EXCL: u16 = 0x200;
/// Create the object if it doesn't exist.
pub(super) const CREATE: u16 = 0x400;

/// The attribute holds attributes.
const NESTED: u16 = 0x8000;

/// Length of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;

/// Messages to be sent in one system call and handled in order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) messages: Vec<Sent>,
    /// Whether all messages between the first and the last take effect together or not at all.
    pub(super) transaction: bool,
}

/// What is remembered of a message until it is answered.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Where it starts in the batch.
    pub(super) start: usize,
    pub(super) flags: u16,
    pub(super) operation: String,
    pub(super) tolerated: &'static [super::Errno],
}

impl Batch {
    /// Returns an empty batch.
    pub fn new() -> Self {
        Self { bytes: Vec::with_capacity(1024), messages: Vec::new(), transaction: false }
    }

    /// Adds a message of this type, with `header` as the family's fixed header, and returns it so
    /// that attributes can be added. `operation` names it with its object in errors.
    pub(super) fn message(
        &mut self,
        operation: impl Into<String>,
        kind: u16,
        flags: u16,
        header: &[u8],
    ) -> Message<'_> {
        let start = self.bytes.len();
        let flags = flags | REQUEST;
        self.messages.push(Sent { start, flags, operation: operation.into(), tolerated: &[] });
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 8]);
        self.bytes.extend_from_slice(header);
        let mut message = Message { batch: self, start };
        message.close();
        message
    }

    /// Returns the place of the message whose answer completes the batch: the last, or the one
    /// before the end of a transaction, as kernels before 6.10 don't acknowledge that one.
    pub(super) fn awaited(&self) -> Option<usize> {
        self.messages.len().checked_sub(if self.transaction { 2 } else { 1 })
    }

    /// Returns whether nothing has been added.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

/// The last message of a batch, open for attributes.
#[derive(Debug)]
pub struct Message<'a> {
    batch: &'a mut Batch,
    start: usize,
}

impl Message<'_> {
    /// Adds an attribute with these bytes.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.open(kind, value.len());
        self.batch.bytes.extend_from_slice(value);
        self.pad();
        self.close();
        self
    }

    /// Adds a text with its closing NUL.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.open(kind, value.len() + 1);
        self.batch.bytes.extend_from_slice(value.as_bytes());
        self.batch.bytes.push(0);
        self.pad();
        self.close();
        self
    }

    /// Adds a text with its closing NUL, if there is one.
    pub(super) fn optional_text(&mut self, kind: u16, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(kind, value);
        }
        self
    }

    /// Adds a number in the machine's byte order.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Adds a number in network byte order, as nf_tables wants them.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Adds one byte.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.bytes(kind, &[value])
    }

    /// Adds an attribute that holds what `fill` adds.
    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.batch.bytes.len();
        self.open(kind | NESTED, 0);
        fill(self);
        self.set_length(start);
        self
    }

    /// Adds bytes without an attribute header: a fixed header inside a nested attribute.
    pub(super) fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.batch.bytes.extend_from_slice(value);
        self.pad();
        self.close();
        self
    }

    /// Takes these failures of the message for success.
    pub(super) fn tolerate(&mut self, errors: &'static [super::Errno]) {
        if let Some(sent) = self.batch.messages.last_mut() {
            sent.tolerated = errors;
        }
    }

    fn open(&mut self, kind: u16, length: usize) {
        // An attribute never nears 64 KiB here; a longer one would be refused by the kernel.
        let length = u16::try_from(length + 4).unwrap_or(u16::MAX);
        self.batch.bytes.extend_from_slice(&length.to_ne_bytes());
        self.batch.bytes.extend_from_slice(&kind.to_ne_bytes());
    }

    fn pad(&mut self) {
        let length = self.batch.bytes.len().next_multiple_of(4);
        self.batch.bytes.resize(length, 0);
    }

    /// Writes the length of the attribute that starts here and ends where the bytes end.
    fn set_length(&mut self, start: usize) {
        let length = u16::try_from(self.batch.bytes.len() - start).unwrap_or(u16::MAX);
        self.batch.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.close();
    }

    /// Writes the message's length.
    fn close(&mut self) {
        let length = u32::try_from(self.batch.bytes.len() - self.start).unwrap_or(u32::MAX);
        self.batch.bytes[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}
