//! Device memory: regions far from each other, each with a record of which bytes hold a value and of
//! who touched them.

use std::fmt;

use crate::race::{Kind, Moment, Race, Shadow};

/// Bits of an address within a region.
const REGION_SHIFT: u32 = 36;
/// Addresses below are none of global memory.
pub(crate) const FIRST: u64 = 16 << REGION_SHIFT;
/// Bits of an address that say the device.
const DEVICE_SHIFT: u32 = 56;
/// Where a region begins in its part of the addresses: aligned to 256 bytes and no better.
const START: u64 = 0x7100;
/// What fresh memory holds.
pub const POISON: u8 = 0xcb;

/// Something wrong that a kernel or a host call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The error code that a driver gives for it.
    pub code: i32,
    /// What it is.
    pub text: String,
}

impl Problem {
    /// An address that leads nowhere.
    #[cold]
    pub fn illegal(text: impl Into<String>) -> Self {
        Self { code: crate::errors::ILLEGAL_ADDRESS, text: text.into() }
    }

    /// An address that is no multiple of the size.
    #[cold]
    pub fn misaligned(address: u64, bytes: usize) -> Self {
        let text = format!("address {address:#x} is misaligned for {bytes} bytes");
        Self { code: crate::errors::MISALIGNED_ADDRESS, text }
    }

    /// Anything else.
    #[cold]
    pub fn failure(text: impl Into<String>) -> Self {
        Self { code: crate::errors::LAUNCH_FAILED, text: text.into() }
    }

    #[cold]
    pub(crate) fn race(place: &str, kind: Kind, race: Race) -> Self {
        let kind = match kind {
            Kind::Read => "read",
            Kind::Write => "write",
            Kind::StrongRead => "atomic read",
            Kind::StrongWrite => "atomic write",
        };
        let other = if race.write { "write" } else { "read" };
        let whose = if race.other_block { "another block" } else { "the same block" };
        let thread = race.thread;
        Self::failure(format!(
            "data race in {place}: this {kind} and a {other} of thread {thread} of {whose}"
        ))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (error {})", self.text, self.code)
    }
}

/// Bytes, and which of them hold a value.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    /// The bytes.
    pub data: Vec<u8>,
    known: Vec<u64>,
}

impl Bytes {
    /// Fresh bytes, none of which holds a value.
    pub fn new(len: usize) -> Self {
        Self { data: vec![POISON; len], known: vec![0; len.div_ceil(64)] }
    }

    /// Forgets all values.
    pub fn forget(&mut self) {
        self.known.fill(0);
    }

    /// Whether all bytes of a range hold values.
    #[inline]
    pub fn is_known(&self, offset: usize, bytes: usize) -> bool {
        if offset % 64 + bytes <= 64 && bytes != 0 {
            let mask = u64::MAX >> (64 - bytes) << (offset % 64);
            return self.known[offset / 64] & mask == mask;
        }
        (offset..offset + bytes).all(|at| self.known[at / 64] >> (at % 64) & 1 == 1)
    }

    /// Notes that a range holds values.
    #[inline]
    pub fn set_known(&mut self, offset: usize, bytes: usize) {
        self.mark(offset, bytes, true);
    }

    #[inline]
    fn mark(&mut self, offset: usize, bytes: usize, known: bool) {
        let (mut at, end) = (offset, offset + bytes);
        while at < end {
            let count = (64 - at % 64).min(end - at);
            let mask = u64::MAX >> (64 - count) << (at % 64);
            if known {
                self.known[at / 64] |= mask;
            } else {
                self.known[at / 64] &= !mask;
            }
            at += count;
        }
    }

    fn first_unknown(&self, offset: usize, bytes: usize) -> Option<usize> {
        (offset..offset + bytes).find(|&at| self.known[at / 64] >> (at % 64) & 1 == 0)
    }

    /// The number made of bytes, little-endian.
    #[inline]
    pub(crate) fn get(&self, offset: usize, bytes: usize) -> u64 {
        let data = &self.data[offset..offset + bytes];
        match bytes {
            1 => data[0].into(),
            2 => u16::from_le_bytes([data[0], data[1]]).into(),
            4 => u32::from_le_bytes([data[0], data[1], data[2], data[3]]).into(),
            _ => {
                let mut all = [0; 8];
                all.copy_from_slice(data);
                u64::from_le_bytes(all)
            }
        }
    }

    /// Writes the low bytes of a number.
    #[inline]
    pub(crate) fn set(&mut self, offset: usize, bytes: usize, value: u64) {
        let all = value.to_le_bytes();
        let data = &mut self.data[offset..offset + bytes];
        match bytes {
            1 => data[0] = all[0],
            2 => data.copy_from_slice(&all[..2]),
            4 => data.copy_from_slice(&all[..4]),
            _ => data.copy_from_slice(&all),
        }
    }
}

/// What a region is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Memory that the host asked for.
    Allocation,
    /// A variable of a module.
    Variable(String),
    /// A constant of a module.
    Constant(String),
    /// Memory that is given back.
    Freed,
}

/// One region.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    role: Role,
    pub(crate) bytes: Bytes,
    shadow: Shadow,
}

/// The global memory of a device.
#[derive(Clone, Debug)]
pub struct Memory {
    first: u64,
    regions: Vec<Region>,
    used: u64,
    limit: u64,
    /// Regions in which kernels have done atomic operations, until somebody asks.
    atomics: Vec<usize>,
}

impl Memory {
    /// The memory of a device: so many bytes.
    pub fn new(device: usize, limit: u64) -> Self {
        let first = FIRST + ((device as u64) << DEVICE_SHIFT);
        Self { first, regions: Vec::new(), used: 0, limit, atomics: Vec::new() }
    }

    /// A new region, or nothing if the memory is used up.
    pub fn allocate(&mut self, bytes: usize, role: Role) -> Option<u64> {
        let cost = bytes.next_multiple_of(512) as u64;
        if cost > self.limit - self.used || bytes as u64 > 1 << (REGION_SHIFT - 1) {
            return None;
        }
        self.used += cost;
        let address = self.first + ((self.regions.len() as u64) << REGION_SHIFT) + START;
        let region = Region { role, bytes: Bytes::new(bytes), shadow: Shadow::new(bytes) };
        self.regions.push(region);
        Some(address)
    }

    /// Gives a region back; `address` is its first byte.
    pub fn free(&mut self, address: u64) -> Result<(), String> {
        let Some(index) = self.index(address).filter(|&index| self.base(index) == address) else {
            return Err(format!("{address:#x} is not the begin of an allocation"));
        };
        let region = &mut self.regions[index];
        match region.role {
            Role::Freed => return Err(format!("{address:#x} is freed already")),
            Role::Allocation => {}
            _ => return Err(format!("{address:#x} belongs to a module")),
        }
        self.release(index);
        Ok(())
    }

    fn release(&mut self, index: usize) {
        let region = &mut self.regions[index];
        self.used -= region.bytes.data.len().next_multiple_of(512) as u64;
        *region = Region { role: Role::Freed, bytes: Bytes::default(), shadow: Shadow::new(0) };
    }

    /// Gives back a variable or constant when its module goes.
    pub fn unload(&mut self, address: u64) {
        if let Some(index) = self.index(address) {
            self.release(index);
        }
    }

    /// Allocations that are still there: address and bytes.
    pub fn allocations(&self) -> Vec<(u64, usize)> {
        let of_host = |region: &Region| region.role == Role::Allocation;
        self.regions
            .iter()
            .enumerate()
            .filter(|(_, region)| of_host(region))
            .map(|(index, region)| (self.base(index), region.bytes.data.len()))
            .collect()
    }

    /// Bytes that are free.
    pub fn free_bytes(&self) -> u64 {
        self.limit - self.used
    }

    fn base(&self, index: usize) -> u64 {
        self.first + ((index as u64) << REGION_SHIFT) + START
    }

    fn index(&self, address: u64) -> Option<usize> {
        let index = (address.checked_sub(self.first)? >> REGION_SHIFT) as usize;
        (index < self.regions.len()).then_some(index)
    }

    /// The region of an address, if it is one of the host's.
    pub(crate) fn allocation(&self, address: u64) -> Option<usize> {
        let index = self.index(address)?;
        let offset = address.checked_sub(self.base(index))?;
        let region = &self.regions[index];
        (region.role == Role::Allocation && offset <= region.bytes.data.len() as u64)
            .then_some(index)
    }

    /// Region and offset of a range that lies in one region.
    #[inline]
    fn find(&self, address: u64, bytes: usize) -> Result<(usize, usize), Problem> {
        if let Some(index) = self.index(address) {
            let offset = address.wrapping_sub(self.base(index));
            let len = self.regions[index].bytes.data.len() as u64;
            if offset < len && bytes as u64 <= len - offset {
                return Ok((index, offset as usize));
            }
        }
        Err(self.lost(address, bytes))
    }

    #[cold]
    fn lost(&self, address: u64, bytes: usize) -> Problem {
        let Some(index) = self.index(address) else {
            return Problem::illegal(format!("address {address:#x} is no device memory"));
        };
        let offset = address.wrapping_sub(self.base(index)) as i64;
        let len = self.regions[index].bytes.data.len();
        match &self.regions[index].role {
            Role::Freed => {
                Problem::illegal(format!("{bytes} bytes at offset {offset} of freed memory"))
            }
            role => Problem::illegal(format!(
                "{bytes} bytes at offset {offset} of {} with {len} bytes",
                name(role)
            )),
        }
    }

    /// A load of a kernel: gives the region and the offset.
    #[inline]
    pub(crate) fn load(
        &mut self,
        address: u64,
        bytes: usize,
        now: Moment,
        kind: Kind,
    ) -> Result<(&Bytes, usize), Problem> {
        let (index, offset) = self.find(address, bytes)?;
        if address & (bytes as u64 - 1) != 0 {
            return Err(Problem::misaligned(address, bytes));
        }
        let region = &mut self.regions[index];
        if !region.bytes.is_known(offset, bytes) {
            return Err(unknown(region, offset));
        }
        if let Err(race) = region.shadow.access(offset, bytes, now, kind) {
            return Err(racing(region, offset, kind, race));
        }
        Ok((&region.bytes, offset))
    }

    /// A store of a kernel, or an atomic operation if `known`: gives the region and the offset.
    #[inline]
    pub(crate) fn store(
        &mut self,
        address: u64,
        bytes: usize,
        now: Moment,
        kind: Kind,
        known: bool,
    ) -> Result<(&mut Bytes, usize), Problem> {
        let (index, offset) = self.find(address, bytes)?;
        if address & (bytes as u64 - 1) != 0 {
            return Err(Problem::misaligned(address, bytes));
        }
        let region = &mut self.regions[index];
        if let Role::Constant(_) = region.role {
            return Err(Problem::illegal(format!("a write to {}", name(&region.role))));
        }
        if known && !region.bytes.is_known(offset, bytes) {
            return Err(unknown(region, offset));
        }
        if let Err(race) = region.shadow.access(offset, bytes, now, kind) {
            return Err(racing(region, offset, kind, race));
        }
        region.bytes.set_known(offset, bytes);
        if known && self.atomics.last() != Some(&index) {
            self.atomics.push(index);
        }
        Ok((&mut region.bytes, offset))
    }

    /// The regions in which there were atomic operations since the last time.
    pub(crate) fn take_atomics(&mut self) -> Vec<usize> {
        let mut regions = std::mem::take(&mut self.atomics);
        regions.sort_unstable();
        regions.dedup();
        regions
    }

    /// Whether an address is one of a constant.
    #[inline]
    pub(crate) fn is_constant(&self, address: u64) -> bool {
        self.index(address)
            .is_some_and(|index| matches!(self.regions[index].role, Role::Constant(_)))
    }

    /// What the host reads.
    pub fn read(&self, address: u64, bytes: usize) -> Result<&[u8], Problem> {
        if bytes == 0 {
            return Ok(&[]);
        }
        let (index, offset) = self.find(address, bytes)?;
        let region = &self.regions[index];
        if let Some(at) = region.bytes.first_unknown(offset, bytes) {
            return Err(unknown(region, at));
        }
        Ok(&region.bytes.data[offset..offset + bytes])
    }

    /// What the host writes.
    pub fn write(&mut self, address: u64, bytes: usize) -> Result<&mut [u8], Problem> {
        if bytes == 0 {
            return Ok(&mut []);
        }
        let (index, offset) = self.find(address, bytes)?;
        let region = &mut self.regions[index];
        region.bytes.set_known(offset, bytes);
        Ok(&mut region.bytes.data[offset..offset + bytes])
    }

    /// Copies within the device; bytes without value stay so.
    pub fn copy(&mut self, to: u64, from: u64, bytes: usize) -> Result<(), Problem> {
        if bytes == 0 {
            return Ok(());
        }
        let (source, at) = self.find(from, bytes)?;
        let (target, there) = self.find(to, bytes)?;
        let data = self.regions[source].bytes.data[at..at + bytes].to_vec();
        let known: Vec<bool> =
            (at..at + bytes).map(|at| self.regions[source].bytes.is_known(at, 1)).collect();
        let target = &mut self.regions[target].bytes;
        target.data[there..there + bytes].copy_from_slice(&data);
        if known.iter().all(|&known| known) {
            target.mark(there, bytes, true);
        } else {
            for (index, known) in known.into_iter().enumerate() {
                target.mark(there + index, 1, known);
            }
        }
        Ok(())
    }
}

fn name(role: &Role) -> String {
    match role {
        Role::Allocation => "an allocation".to_owned(),
        Role::Variable(name) => format!("the variable {name}"),
        Role::Constant(name) => format!("the constant {name}"),
        Role::Freed => "freed memory".to_owned(),
    }
}

#[cold]
fn unknown(region: &Region, offset: usize) -> Problem {
    Problem::failure(format!(
        "uninitialised memory is read: byte {offset} of {}",
        name(&region.role)
    ))
}

#[cold]
fn racing(region: &Region, offset: usize, kind: Kind, race: Race) -> Problem {
    Problem::race(&format!("global memory, byte {offset} of {}", name(&region.role)), kind, race)
}
