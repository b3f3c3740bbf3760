//! A context: memory, modules, streams and events of a device, and the error that sticks to it.

mod queue;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::decode::{SHARED_LIMIT, decode};
use crate::device::{Pretended, report};
use crate::errors::{
    INVALID_HANDLE, INVALID_IMAGE, INVALID_PTX, INVALID_VALUE, NO_BINARY_FOR_GPU, NOT_FOUND,
    OUT_OF_MEMORY, UNSUPPORTED_PTX_VERSION,
};
use crate::memory::{Memory, Problem, Role};
use crate::mutate;
use crate::parse::parse;
use crate::program::{Function, Program};
use crate::stream::{Atomic, Event, Queued, Stream, Work};

/// The handle of the null stream.
pub const NULL_STREAM: u64 = 0;

#[derive(Debug)]
struct Loaded {
    program: Arc<Program>,
    /// Its variables and constants.
    addresses: Vec<u64>,
}

/// A context.
#[derive(Debug)]
pub struct Context {
    device: &'static Pretended,
    /// Its memory.
    pub memory: Memory,
    segment: u64,
    modules: HashMap<u64, Loaded>,
    functions: HashMap<u64, (u64, usize)>,
    streams: BTreeMap<u64, Stream>,
    events: HashMap<u64, Event>,
    operations: u64,
    handles: u64,
    /// By region of memory.
    atomics: HashMap<usize, Atomic>,
    /// The error that all calls give from now on.
    pub error: Option<i32>,
    /// What was found, in words.
    pub findings: Vec<String>,
}

impl Context {
    /// A fresh context of a device.
    pub fn new(device: &'static Pretended, ordinal: usize) -> Self {
        let null = Stream { blocking: true, ..Stream::default() };
        Self {
            device,
            memory: Memory::new(ordinal, device.memory),
            segment: 1,
            modules: HashMap::new(),
            functions: HashMap::new(),
            streams: BTreeMap::from([(NULL_STREAM, null)]),
            events: HashMap::new(),
            operations: 0,
            atomics: HashMap::new(),
            // Handles of different devices differ, and none is a small number.
            handles: (ordinal as u64 + 1) << 40,
            error: None,
            findings: Vec::new(),
        }
    }

    fn handle(&mut self) -> u64 {
        self.handles += 16;
        self.handles
    }

    fn say(&mut self, text: String) {
        report(&text);
        self.findings.push(text);
    }

    /// Notes an error for good, and says why.
    fn fail(&mut self, problem: &Problem) -> i32 {
        self.say(problem.to_string());
        *self.error.get_or_insert(problem.code)
    }

    fn outcome(&self) -> Result<(), i32> {
        self.error.map_or(Ok(()), Err)
    }

    // Modules

    /// Loads a module; gives its handle.
    pub fn load(&mut self, text: &str) -> Result<u64, i32> {
        if !text.contains(".version") {
            self.say("the module is no PTX text".to_owned());
            return Err(INVALID_IMAGE);
        }
        let mut module = match parse(text) {
            Ok(module) => module,
            Err(refusal) => {
                self.say(refusal.to_string());
                return Err(INVALID_PTX);
            }
        };
        if module.version > self.device.newest_ptx() {
            return Err(UNSUPPORTED_PTX_VERSION);
        }
        if module.target > self.device.arch {
            return Err(NO_BINARY_FOR_GPU);
        }
        if let Some(mutation) = &self.device.mutate {
            mutate::command(&mut module, mutation);
        }
        let memory = &mut self.memory;
        let mut addresses = Vec::new();
        let mut full = false;
        let program = decode(&module, &mut |variable| {
            let name = variable.name.clone();
            let role =
                if variable.space == "const" { Role::Constant(name) } else { Role::Variable(name) };
            let bytes = variable.bytes as usize;
            let Some(address) = memory.allocate(bytes, role) else {
                full = true;
                return 0;
            };
            addresses.push(address);
            let values = variable.values.as_deref().unwrap_or_default();
            if let Ok(data) = memory.write(address, bytes) {
                data.fill(0);
                data[..values.len()].copy_from_slice(values);
            }
            address
        });
        let refusal = program.as_ref().err().map(ToString::to_string);
        if full || refusal.is_some() {
            for address in addresses {
                self.memory.unload(address);
            }
            let Some(text) = refusal else { return Err(OUT_OF_MEMORY) };
            self.say(text);
            return Err(INVALID_PTX);
        }
        let program = Arc::new(program.unwrap_or_default());
        let handle = self.handle();
        self.modules.insert(handle, Loaded { program, addresses });
        Ok(handle)
    }

    /// Unloads a module.
    pub fn unload(&mut self, handle: u64) -> Result<(), i32> {
        let module = self.modules.remove(&handle).ok_or(INVALID_HANDLE)?;
        let queued =
            self.queued(|work| matches!(work, Work::Launch(launch) if launch.module == handle));
        for address in module.addresses {
            self.memory.unload(address);
        }
        self.functions.retain(|_, &mut (module, _)| module != handle);
        if let Some(name) = queued {
            let text = format!("a module is unloaded while {name} is queued");
            return Err(self.fail(&Problem::failure(text)));
        }
        Ok(())
    }

    /// The handle of a kernel.
    pub fn function(&mut self, module: u64, name: &str) -> Result<u64, i32> {
        let loaded = self.modules.get(&module).ok_or(INVALID_HANDLE)?;
        let entry = loaded.program.kernel(name).ok_or(NOT_FOUND)?;
        let handle = self.handle();
        self.functions.insert(handle, (module, entry));
        Ok(handle)
    }

    /// What a function handle stands for: module, program, number.
    fn kernel(&self, handle: u64) -> Result<(u64, Arc<Program>, usize), i32> {
        let &(module, entry) = self.functions.get(&handle).ok_or(INVALID_HANDLE)?;
        Ok((module, Arc::clone(&self.modules[&module].program), entry))
    }

    /// A kernel's facts.
    pub fn facts(&self, handle: u64) -> Result<Function, i32> {
        let (_, program, entry) = self.kernel(handle)?;
        Ok(program.functions[entry].clone())
    }

    // Launches

    /// Queues a launch: grid and block, dynamic shared memory, stream; `params` makes the parameters.
    pub fn launch(
        &mut self,
        function: u64,
        [grid, block]: [[u32; 3]; 2],
        dynamic: u32,
        stream: u64,
        params: impl FnOnce(&Function) -> Result<Vec<u8>, i32>,
    ) -> Result<(), i32> {
        let (module, program, entry) = self.kernel(function)?;
        let kernel = &program.functions[entry];
        if let Err(text) = limits(kernel, grid, block, dynamic) {
            self.say(format!("kernel {}: {text}", kernel.name));
            return Err(INVALID_VALUE);
        }
        let params = params(kernel)?;
        let queued =
            Queued { program: Arc::clone(&program), module, entry, grid, block, dynamic, params };
        self.enqueue(stream, Work::Launch(Box::new(queued))).map(|_| ())
    }

    /// Queues an operation; gives its number.
    pub fn enqueue(&mut self, stream: u64, work: Work) -> Result<u64, i32> {
        self.live(stream)?;
        self.operations += 1;
        let number = self.operations;
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.queue.push_back((number, work));
        }
        Ok(number)
    }

    fn live(&self, stream: u64) -> Result<(), i32> {
        match self.streams.get(&stream) {
            Some(stream) if !stream.destroyed => Ok(()),
            _ => Err(INVALID_HANDLE),
        }
    }

    // Memory

    /// Allocates device memory.
    pub fn allocate(&mut self, bytes: usize) -> Result<u64, i32> {
        if bytes == 0 {
            return Err(INVALID_VALUE);
        }
        self.memory.allocate(bytes, Role::Allocation).ok_or(OUT_OF_MEMORY)
    }

    /// Frees device memory.
    pub fn free(&mut self, address: u64) -> Result<(), i32> {
        if address == 0 {
            return Ok(());
        }
        let clash = self.outstanding(address, 1);
        if let Err(text) = self.memory.free(address) {
            self.say(format!("cuMemFree: {text}"));
            return Err(INVALID_VALUE);
        }
        if let Some(name) = clash {
            let text = format!("memory at {address:#x} is freed while {name} is queued");
            return Err(self.fail(&Problem::failure(text)));
        }
        Ok(())
    }

    /// A call that copies or sets at once: it waits for the null stream and those that wait for it,
    /// and for no other.
    pub fn at_once(&mut self, work: Work) -> Result<(), i32> {
        self.synchronise(NULL_STREAM)?;
        for (address, bytes) in work.touches() {
            if let Some(name) = self.outstanding(address, bytes.unwrap_or(1)) {
                let text = format!(
                    "{} at {address:#x} does not wait for {name}, which is queued on another stream",
                    work.name()
                );
                return Err(self.fail(&Problem::failure(text)));
            }
        }
        self.perform(work, NULL_STREAM, self.operations);
        self.outcome()
    }

    /// A queued operation that touches a range.
    fn outstanding(&self, address: u64, bytes: usize) -> Option<String> {
        let region = self.memory.allocation(address);
        self.queued(|work| {
            work.touches().into_iter().any(|(begin, len)| match len {
                None => region.is_some() && self.memory.allocation(begin) == region,
                Some(len) => begin < address + bytes as u64 && address < begin + len as u64,
            })
        })
    }

    fn queued(&self, wanted: impl Fn(&Work) -> bool) -> Option<String> {
        let mut all = self.streams.values().flat_map(|stream| &stream.queue);
        all.find(|(_, work)| wanted(work)).map(|(_, work)| work.name())
    }

    /// Reports what is still there at the end; gives the number of leaks.
    pub fn report_leaks(&self) -> usize {
        if self.error.is_some() {
            return 0;
        }
        let leaks = self.memory.allocations();
        for (address, bytes) in &leaks {
            report(&format!("leak: {bytes} bytes at {address:#x} are never freed"));
        }
        if let Some(name) = self.queued(|_| true) {
            report(&format!("the context ends while {name} is queued"));
        }
        leaks.len()
    }
}

fn limits(kernel: &Function, grid: [u32; 3], block: [u32; 3], dynamic: u32) -> Result<(), String> {
    let within = |sizes: [u32; 3], most: [u32; 3]| {
        sizes.iter().zip(most).all(|(&size, most)| size >= 1 && size <= most)
    };
    if !within(grid, [i32::MAX as u32, 65_535, 65_535]) {
        return Err(format!("grid {grid:?} is beyond the limits"));
    }
    let threads = block.iter().map(|&size| u64::from(size)).product::<u64>();
    if !within(block, [1024, 1024, 64]) || threads > kernel.max_threads.unwrap_or(1024).min(1024) {
        return Err(format!("block {block:?} is beyond the limits"));
    }
    if kernel.required_threads.is_some_and(|required| required != threads) {
        return Err(format!("block {block:?} is not the size that the kernel requires"));
    }
    if kernel.shared_bytes + dynamic as usize > SHARED_LIMIT {
        return Err(format!("{dynamic} bytes of dynamic shared memory are too many"));
    }
    Ok(())
}
