//! The functions of the driver library, opened when the program runs.
//!
//! `cust` declares them and leaves it to the linker to find them, so that a program would not start
//! on a machine without a driver. Here they are defined: each opens `libcuda.so.1` if that has not
//! been done, finds the function of the same name and calls it. Without a driver each is an ordinary
//! error. Only what this crate reaches is defined.
//!
//! The driver's answer is taken as a plain integer. `cust` has an enum for it that knows the codes
//! of CUDA 11 and would be undefined with another one, so other codes become
//! `CUDA_ERROR_UNKNOWN`; [`take_last_code`] has the integer itself.
#![allow(
    unsafe_code,
    reason = "symbols for the linker, the two functions that open a library, and calls of what it has"
)]

use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_void};
use core::mem::transmute;
use std::sync::OnceLock;

use cust_raw::{
    CUcontext, CUdevice, CUdevice_attribute, CUdeviceptr, CUevent, CUfunction,
    CUfunction_attribute, CUjit_option, CUmodule, CUresult, CUstream,
};

/// The answer to every call where there is no driver: `CUDA_ERROR_NO_DEVICE`.
const NO_DRIVER: u32 = 100;
/// The answer where the driver has no such function: `CUDA_ERROR_NOT_FOUND`.
const NO_FUNCTION: u32 = 500;

std::thread_local! {
    static LAST_CODE: Cell<u32> = const { Cell::new(0) };
}

/// Takes the code of this thread's last call that failed, as the driver gave it; 0 if none has.
pub(super) fn take_last_code() -> u32 {
    LAST_CODE.take()
}

/// Tells whether there is a driver library.
pub(super) fn is_available() -> bool {
    library().is_some()
}

/// Returns the driver's own description of a code.
pub(in crate::cuda) fn describe(code: u32) -> Option<&'static str> {
    static FUNCTION: Function = Function::new(c"cuGetErrorString");
    let function = FUNCTION.address()?;
    // SAFETY: `cuGetErrorString` has this type; it takes any integer.
    let function: unsafe extern "C" fn(u32, *mut *const c_char) -> u32 =
        unsafe { transmute(function) };
    let mut text = core::ptr::null();
    // SAFETY: `text` may be written.
    let code = unsafe { function(code, &mut text) };
    if code != 0 || text.is_null() {
        return None;
    }
    // SAFETY: the driver gives a constant of its own that ends with a zero; the library is never
    // closed.
    unsafe { CStr::from_ptr(text) }.to_str().ok()
}

/// The library's handle. It stays open.
fn library() -> Option<*mut c_void> {
    static LIBRARY: OnceLock<usize> = OnceLock::new();
    let handle = *LIBRARY.get_or_init(|| system::open(c"libcuda.so.1") as usize);
    (handle != 0).then_some(handle as *mut c_void)
}

#[cfg(target_os = "linux")]
mod system {
    use core::ffi::{CStr, c_char, c_int, c_void};

    unsafe extern "C" {
        fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
        fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    }

    /// All symbols at once, and none of them for other libraries.
    const RTLD_NOW: c_int = 2;

    pub(super) fn open(name: &CStr) -> *mut c_void {
        // SAFETY: the name ends with a zero. The driver's library may be initialised at any time.
        unsafe { dlopen(name.as_ptr(), RTLD_NOW) }
    }

    pub(super) fn find(library: *mut c_void, name: &CStr) -> *mut c_void {
        // SAFETY: the handle is one of `dlopen` and never closed; the name ends with a zero.
        unsafe { dlsym(library, name.as_ptr()) }
    }
}

/// Elsewhere there is no driver.
#[cfg(not(target_os = "linux"))]
mod system {
    use core::ffi::{CStr, c_void};

    pub(super) fn open(_: &CStr) -> *mut c_void {
        core::ptr::null_mut()
    }

    pub(super) fn find(_: *mut c_void, _: &CStr) -> *mut c_void {
        core::ptr::null_mut()
    }
}

/// A function of the library, found once.
struct Function {
    name: &'static CStr,
    address: OnceLock<usize>,
}

impl Function {
    const fn new(name: &'static CStr) -> Self {
        Self { name, address: OnceLock::new() }
    }

    fn address(&self) -> Option<*mut c_void> {
        let library = library()?;
        let address = *self.address.get_or_init(|| system::find(library, self.name) as usize);
        (address != 0).then_some(address as *mut c_void)
    }
}

/// Keeps a code for [`take_last_code`] and turns it into what `cust` can hold.
fn answer(code: u32) -> CUresult {
    if code == CUresult::CUDA_SUCCESS as u32 {
        return CUresult::CUDA_SUCCESS;
    }
    LAST_CODE.set(code);
    KNOWN.into_iter().find(|&known| known as u32 == code).unwrap_or(CUresult::CUDA_ERROR_UNKNOWN)
}

macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),* $(,)?);)*) => {$(
        #[allow(non_snake_case, reason = "the name of the symbol")]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $type),*) -> CUresult {
            static FUNCTION: Function = match CStr::from_bytes_with_nul(
                concat!(stringify!($name), "\0").as_bytes(),
            ) {
                Ok(name) => Function::new(name),
                Err(_) => Function::new(c""),
            };
            let Some(function) = FUNCTION.address() else {
                return answer(if is_available() { NO_FUNCTION } else { NO_DRIVER });
            };
            // SAFETY: the function of this name has this type, but for the integer it returns.
            let function: unsafe extern "C" fn($($type),*) -> u32 = unsafe { transmute(function) };
            // SAFETY: what is asked of the caller of the declaration is asked by the driver.
            answer(unsafe { function($($argument),*) })
        }
    )*};
}

forward! {
    cuInit(flags: c_uint);
    cuDriverGetVersion(version: *mut c_int);
    cuDeviceGetCount(count: *mut c_int);
    cuDeviceGet(device: *mut CUdevice, ordinal: c_int);
    cuDeviceGetName(name: *mut c_char, len: c_int, device: CUdevice);
    cuDeviceGetAttribute(value: *mut c_int, attribute: CUdevice_attribute, device: CUdevice);
    cuDeviceTotalMem_v2(bytes: *mut usize, device: CUdevice);
    cuDevicePrimaryCtxRetain(context: *mut CUcontext, device: CUdevice);
    cuDevicePrimaryCtxRelease_v2(device: CUdevice);
    cuCtxSetCurrent(context: CUcontext);
    cuCtxGetCurrent(context: *mut CUcontext);
    cuCtxSynchronize();
    cuModuleLoadDataEx(
        module: *mut CUmodule,
        image: *const c_void,
        count: c_uint,
        options: *mut CUjit_option,
        values: *mut *mut c_void,
    );
    cuModuleUnload(module: CUmodule);
    cuModuleGetFunction(function: *mut CUfunction, module: CUmodule, name: *const c_char);
    cuMemAlloc_v2(address: *mut CUdeviceptr, bytes: usize);
    cuMemFree_v2(address: CUdeviceptr);
    cuMemcpyHtoD_v2(to: CUdeviceptr, from: *const c_void, bytes: usize);
    cuMemcpyDtoHAsync_v2(to: *mut c_void, from: CUdeviceptr, bytes: usize, stream: CUstream);
    cuMemcpyHtoDAsync_v2(to: CUdeviceptr, from: *const c_void, bytes: usize, stream: CUstream);
    cuMemcpyDtoDAsync_v2(to: CUdeviceptr, from: CUdeviceptr, bytes: usize, stream: CUstream);
    cuMemsetD8Async(to: CUdeviceptr, byte: c_uchar, bytes: usize, stream: CUstream);
    cuStreamCreate(stream: *mut CUstream, flags: c_uint);
    cuStreamSynchronize(stream: CUstream);
    cuStreamWaitEvent(stream: CUstream, event: CUevent, flags: c_uint);
    cuStreamDestroy_v2(stream: CUstream);
    cuEventCreate(event: *mut CUevent, flags: c_uint);
    cuEventRecord(event: CUevent, stream: CUstream);
    cuEventSynchronize(event: CUevent);
    cuEventElapsedTime(milliseconds: *mut f32, start: CUevent, end: CUevent);
    cuEventDestroy_v2(event: CUevent);
    cuLaunchKernel(
        function: CUfunction,
        grid_x: c_uint,
        grid_y: c_uint,
        grid_z: c_uint,
        block_x: c_uint,
        block_y: c_uint,
        block_z: c_uint,
        shared_bytes: c_uint,
        stream: CUstream,
        parameters: *mut *mut c_void,
        extra: *mut *mut c_void,
    );
    cuFuncGetAttribute(value: *mut c_int, attribute: CUfunction_attribute, function: CUfunction);
}

/// `cust` describes its errors by this and panics if it fails, so it always has an answer.
#[allow(non_snake_case, reason = "the name of the symbol")]
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorString(error: CUresult, text: *mut *const c_char) -> CUresult {
    static FUNCTION: Function = Function::new(c"cuGetErrorString");
    let Some(function) = FUNCTION.address() else {
        if !text.is_null() {
            // SAFETY: the caller passes a place for a pointer.
            unsafe { text.write(c"there is no CUDA driver".as_ptr()) };
        }
        return CUresult::CUDA_SUCCESS;
    };
    // SAFETY: the function of this name has this type, but for the integers.
    let function: unsafe extern "C" fn(u32, *mut *const c_char) -> u32 =
        unsafe { transmute(function) };
    // SAFETY: what is asked of the caller of the declaration is asked by the driver.
    answer(unsafe { function(error as u32, text) })
}

/// The failures that `cust` can hold.
const KNOWN: [CUresult; 86] = [
    CUresult::CUDA_ERROR_INVALID_VALUE,
    CUresult::CUDA_ERROR_OUT_OF_MEMORY,
    CUresult::CUDA_ERROR_NOT_INITIALIZED,
    CUresult::CUDA_ERROR_DEINITIALIZED,
    CUresult::CUDA_ERROR_PROFILER_DISABLED,
    CUresult::CUDA_ERROR_PROFILER_NOT_INITIALIZED,
    CUresult::CUDA_ERROR_PROFILER_ALREADY_STARTED,
    CUresult::CUDA_ERROR_PROFILER_ALREADY_STOPPED,
    CUresult::CUDA_ERROR_STUB_LIBRARY,
    CUresult::CUDA_ERROR_NO_DEVICE,
    CUresult::CUDA_ERROR_INVALID_DEVICE,
    CUresult::CUDA_ERROR_DEVICE_NOT_LICENSED,
    CUresult::CUDA_ERROR_INVALID_IMAGE,
    CUresult::CUDA_ERROR_INVALID_CONTEXT,
    CUresult::CUDA_ERROR_CONTEXT_ALREADY_CURRENT,
    CUresult::CUDA_ERROR_MAP_FAILED,
    CUresult::CUDA_ERROR_UNMAP_FAILED,
    CUresult::CUDA_ERROR_ARRAY_IS_MAPPED,
    CUresult::CUDA_ERROR_ALREADY_MAPPED,
    CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU,
    CUresult::CUDA_ERROR_ALREADY_ACQUIRED,
    CUresult::CUDA_ERROR_NOT_MAPPED,
    CUresult::CUDA_ERROR_NOT_MAPPED_AS_ARRAY,
    CUresult::CUDA_ERROR_NOT_MAPPED_AS_POINTER,
    CUresult::CUDA_ERROR_ECC_UNCORRECTABLE,
    CUresult::CUDA_ERROR_UNSUPPORTED_LIMIT,
    CUresult::CUDA_ERROR_CONTEXT_ALREADY_IN_USE,
    CUresult::CUDA_ERROR_PEER_ACCESS_UNSUPPORTED,
    CUresult::CUDA_ERROR_INVALID_PTX,
    CUresult::CUDA_ERROR_INVALID_GRAPHICS_CONTEXT,
    CUresult::CUDA_ERROR_NVLINK_UNCORRECTABLE,
    CUresult::CUDA_ERROR_JIT_COMPILER_NOT_FOUND,
    CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
    CUresult::CUDA_ERROR_JIT_COMPILATION_DISABLED,
    CUresult::CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY,
    CUresult::CUDA_ERROR_INVALID_SOURCE,
    CUresult::CUDA_ERROR_FILE_NOT_FOUND,
    CUresult::CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND,
    CUresult::CUDA_ERROR_SHARED_OBJECT_INIT_FAILED,
    CUresult::CUDA_ERROR_OPERATING_SYSTEM,
    CUresult::CUDA_ERROR_INVALID_HANDLE,
    CUresult::CUDA_ERROR_ILLEGAL_STATE,
    CUresult::CUDA_ERROR_NOT_FOUND,
    CUresult::CUDA_ERROR_NOT_READY,
    CUresult::CUDA_ERROR_ILLEGAL_ADDRESS,
    CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
    CUresult::CUDA_ERROR_LAUNCH_TIMEOUT,
    CUresult::CUDA_ERROR_LAUNCH_INCOMPATIBLE_TEXTURING,
    CUresult::CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED,
    CUresult::CUDA_ERROR_PEER_ACCESS_NOT_ENABLED,
    CUresult::CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE,
    CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED,
    CUresult::CUDA_ERROR_ASSERT,
    CUresult::CUDA_ERROR_TOO_MANY_PEERS,
    CUresult::CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
    CUresult::CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED,
    CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR,
    CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION,
    CUresult::CUDA_ERROR_MISALIGNED_ADDRESS,
    CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE,
    CUresult::CUDA_ERROR_INVALID_PC,
    CUresult::CUDA_ERROR_LAUNCH_FAILED,
    CUresult::CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
    CUresult::CUDA_ERROR_NOT_PERMITTED,
    CUresult::CUDA_ERROR_NOT_SUPPORTED,
    CUresult::CUDA_ERROR_SYSTEM_NOT_READY,
    CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
    CUresult::CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE,
    CUresult::CUDA_ERROR_MPS_CONNECTION_FAILED,
    CUresult::CUDA_ERROR_MPS_RPC_FAILURE,
    CUresult::CUDA_ERROR_MPS_SERVER_NOT_READY,
    CUresult::CUDA_ERROR_MPS_MAX_CLIENTS_REACHED,
    CUresult::CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED,
    CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
    CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
    CUresult::CUDA_ERROR_STREAM_CAPTURE_MERGE,
    CUresult::CUDA_ERROR_STREAM_CAPTURE_UNMATCHED,
    CUresult::CUDA_ERROR_STREAM_CAPTURE_UNJOINED,
    CUresult::CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
    CUresult::CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
    CUresult::CUDA_ERROR_CAPTURED_EVENT,
    CUresult::CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
    CUresult::CUDA_ERROR_TIMEOUT,
    CUresult::CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE,
    CUresult::CUDA_ERROR_EXTERNAL_DEVICE,
    CUresult::CUDA_ERROR_UNKNOWN,
];
