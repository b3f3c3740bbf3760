//! The exported functions, as a program calls them. They share one state, so that one test goes
//! through all of them; what the environment decides runs in processes of its own.

#![allow(unsafe_code, reason = "strings of the interface")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::mem::MaybeUninit;
use std::process::{Command, Output};

use crate::support::kernel;
use cuda::driver::copy::*;
use cuda::driver::launch::*;
use cuda::driver::manage::*;
use cuda::driver::stream::*;
use cuda::host::Out;

fn get<T: Copy + Default>(call: impl FnOnce(Out<'_, T>) -> i32) -> Result<T, i32> {
    let mut place = MaybeUninit::new(T::default());
    let code = call(Out::to(&mut place));
    // SAFETY: it holds a value from the start.
    let value = unsafe { place.assume_init() };
    if code == 0 { Ok(value) } else { Err(code) }
}

fn start() {
    assert_eq!(cuInit(0), 0);
    let context = get(|out| cuDevicePrimaryCtxRetain(out, 0)).expect("a context");
    assert_eq!(cuCtxSetCurrent(context), 0);
}

fn function() -> (u64, u64) {
    let text = CString::new(kernel(
        ".shared .b32 s[4]; mov.u32 %r1, %tid.x; mul.wide.u32 %l1, %r1, 4; add.s64 %in, %in, %l1;
         add.s64 %out, %out, %l1; ld.global.u32 %r2, [%in]; add.s32 %r2, %r2, 1;
         st.global.u32 [%out], %r2;",
    ))
    .expect("no zeros");
    let module = get(|out| {
        let none = std::ptr::null_mut();
        cuModuleLoadDataEx(out, text.as_ptr().cast(), 0, none, std::ptr::null_mut())
    })
    .expect("a module");
    let name = c"k";
    let function = get(|out| cuModuleGetFunction(out, module, name.as_ptr())).expect("a kernel");
    let missing = c"missing";
    assert_eq!(get(|out| cuModuleGetFunction(out, module, missing.as_ptr())), Err(500));
    (module, function)
}

fn run(function: u64, stream: u64, mut pointers: [u64; 2], threads: u32) -> i32 {
    let [first, second] = &mut pointers;
    let mut params: [*mut c_void; 2] =
        [std::ptr::from_mut(first).cast(), std::ptr::from_mut(second).cast()];
    let none = std::ptr::null_mut();
    cuLaunchKernel(function, 1, 1, 1, threads, 1, 1, 0, stream, params.as_mut_ptr(), none)
}

fn text_of(call: impl FnOnce(Out<'_, *const c_char>) -> i32) -> Option<String> {
    let mut place = MaybeUninit::new(std::ptr::null());
    if call(Out::to(&mut place)) != 0 {
        return None;
    }
    // SAFETY: it holds a value from the start.
    let text = unsafe { place.assume_init() };
    // SAFETY: the texts are constants that end with a zero.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

#[test]
fn a_whole_program() {
    assert_eq!(get(|out| cuDeviceGet(out, 0)), Err(3));
    assert_eq!(cuCtxSynchronize(), 3);
    assert_eq!(cuInit(1), 1);
    assert_eq!(cuInit(0), 0);
    assert_eq!(cuCtxSynchronize(), 201);
    assert_eq!(get(|out| cuDriverGetVersion(out)), Ok(12_040));
    assert_eq!(get(|out| cuDeviceGetCount(out)), Ok(1));
    assert_eq!(get(|out| cuDeviceGet(out, 0)), Ok(0));
    assert_eq!(get(|out| cuDeviceGet(out, 1)), Err(101));
    assert_eq!(get(|out| cuDeviceGet(out, -1)), Err(101));
    let mut name = [1_u8; 8];
    assert_eq!(cuDeviceGetName(name.as_mut_ptr().cast(), 8, 0), 0);
    assert_eq!(&name, b"PTX int\0");
    assert_eq!(get(|out| cuDeviceTotalMem_v2(out, 0)), Ok(2 << 30));
    for (attribute, value) in
        [(1, 1024), (8, 49_152), (10, 32), (16, 4), (75, 7), (76, 0), (39, 2048)]
    {
        assert_eq!(get(|out| cuDeviceGetAttribute(out, attribute, 0)), Ok(value));
    }
    assert_eq!(get(|out| cuDeviceGetAttribute(out, 9999, 0)), Err(1));
    assert_eq!(cuDevicePrimaryCtxRelease_v2(0), 201);
    start();
    let context = get(|out| cuCtxGetCurrent(out)).expect("a context");
    assert_ne!(context, 0);
    assert_eq!(cuCtxSetCurrent(context + 1), 201);

    let (module, function) = function();
    assert_eq!(get(|out| cuFuncGetAttribute(out, 0, function)), Ok(1024));
    assert_eq!(get(|out| cuFuncGetAttribute(out, 1, function)), Ok(16));
    let blocks = |threads, shared| {
        get(|out| cuOccupancyMaxActiveBlocksPerMultiprocessor(out, function, threads, shared))
    };
    assert_eq!((blocks(1024, 0), blocks(32, 0), blocks(64, 48 << 10)), (Ok(2), Ok(32), Ok(1)));
    let none = std::ptr::null();
    let threads = get(|threads| {
        let grid =
            get(|grid| cuOccupancyMaxPotentialBlockSize(grid, threads, function, none, 0, 256));
        assert_eq!(grid, Ok(32));
        0
    });
    assert_eq!(threads, Ok(256));

    let [a, b] = [(); 2].map(|()| get(|out| cuMemAlloc_v2(out, 16)).expect("memory"));
    let host = [1_u32, 2, 3, 4];
    let mut back = [0_u32; 4];
    let (from, to) = (host.as_ptr().expose_provenance(), back.as_mut_ptr().expose_provenance());
    assert_eq!(cuMemcpyHtoD_v2(a, from, 16), 0);
    assert_eq!(run(function, 0, [a, b], 4), 0);
    assert_eq!(cuMemcpyDtoH_v2(to, b, 16), 0);
    assert_eq!(back, [2, 3, 4, 5]);
    assert_eq!(cuMemsetD32_v2(a, 9, 4), 0);
    assert_eq!(cuMemsetD32_v2(a + 1, 9, 1), 1);
    assert_eq!(cuMemsetD8_v2(a + 4, 1, 4), 0);
    assert_eq!(cuMemcpyDtoD_v2(b, a, 16), 0);
    assert_eq!(cuMemcpyDtoH_v2(to, b, 16), 0);
    assert_eq!(back, [9, 0x0101_0101, 9, 9]);
    assert_eq!(cuMemcpyDtoH_v2(0, b, 16), 1);

    let stream = get(|out| cuStreamCreate(out, 1)).expect("a stream");
    let other = get(|out| cuStreamCreateWithPriority(out, 0, -1)).expect("a stream");
    assert_eq!(get(|out| cuStreamCreate(out, 8)), Err(1));
    let [begin, end] = [(); 2].map(|()| get(|out| cuEventCreate(out, 0)).expect("an event"));
    assert_eq!(cuEventRecord(begin, stream), 0);
    assert_eq!(cuMemcpyHtoDAsync_v2(a, from, 16, stream), 0);
    assert_eq!(run(function, stream, [a, b], 4), 0);
    assert_eq!(cuMemsetD32Async(a, 0, 2, stream), 0);
    assert_eq!(cuMemsetD8Async(a, 7, 1, stream), 0);
    assert_eq!(cuMemcpyDtoDAsync_v2(b, a, 4, stream), 0);
    assert_eq!(cuMemcpyDtoHAsync_v2(to, b, 16, stream), 0);
    assert_eq!(cuEventRecord(end, stream), 0);
    assert_eq!(cuEventQuery(end), 600);
    assert_eq!(cuStreamWaitEvent(other, end, 0), 0);
    assert_eq!(cuStreamSynchronize(other), 0);
    assert_eq!(back, [7, 3, 4, 5]);
    assert_eq!((cuEventSynchronize(end), cuEventQuery(end), cuStreamQuery(stream)), (0, 0, 0));
    assert!(get(|out| cuEventElapsedTime(out, begin, end)).is_ok_and(|time| time >= 0.0));
    for event in [begin, end] {
        assert_eq!(cuEventDestroy_v2(event), 0);
    }
    assert_eq!((cuStreamDestroy_v2(stream), cuStreamDestroy_v2(other)), (0, 0));
    assert_eq!(cuStreamDestroy_v2(other), 400);

    assert_eq!(
        text_of(|out| cuGetErrorName(700, out)).as_deref(),
        Some("CUDA_ERROR_ILLEGAL_ADDRESS")
    );
    assert_eq!(text_of(|out| cuGetErrorString(0, out)).as_deref(), Some("no error"));
    assert_eq!(text_of(|out| cuGetErrorString(12_345, out)), None);

    // An error sticks to the context, and memory can be freed all the same.
    assert_eq!(run(function, 0, [a, b], 5), 0);
    assert_eq!(cuCtxSynchronize(), 700);
    assert_eq!(run(function, 0, [a, b], 4), 700);
    assert_eq!(get(|out| cuMemAlloc_v2(out, 4)), Err(700));
    assert_eq!(cuMemFree_v2(a), 700);
    assert_eq!(cuModuleUnload(module), 700);
    // A new context knows nothing of it.
    assert_eq!(cuDevicePrimaryCtxRelease_v2(0), 0);
    assert_eq!(cuCtxSynchronize(), 201);
    start();
    assert_eq!(cuCtxSynchronize(), 0);
    let (module, _) = self::function();
    assert_eq!((cuModuleUnload(module), cuModuleUnload(module)), (0, 400));
    let a = get(|out| cuMemAlloc_v2(out, 16)).expect("memory");
    assert_eq!((cuMemFree_v2(a), cuMemFree_v2(a), cuMemFree_v2(0)), (0, 1, 0));
    // Each thread has a current context of its own.
    let elsewhere = std::thread::spawn(|| cuCtxSynchronize()).join().expect("no panic");
    assert_eq!(elsewhere, 201);
    assert_eq!(cuDevicePrimaryCtxRelease_v2(0), 0);
}

/// Runs one of the tests below in a process of its own.
fn child(name: &str, variables: &[(&str, &str)]) -> Output {
    let this = std::env::current_exe().expect("a path");
    let mut command = Command::new(this);
    command.args(["--exact", &format!("driver::{name}"), "--ignored", "--nocapture"]);
    command.envs(variables.iter().copied()).output().expect("a process")
}

fn said(output: &Output, words: &str) -> bool {
    String::from_utf8_lossy(&output.stderr).contains(words)
}

#[test]
#[ignore = "leaves memory behind; run by `leaks` in a process of its own"]
fn leaking() {
    start();
    let _ = get(|out| cuMemAlloc_v2(out, 16)).expect("memory");
}

#[test]
fn leaks() {
    let output = child("leaking", &[]);
    assert!(
        output.status.success() && said(&output, "ptx-interpreter: leak: 16 bytes"),
        "{output:?}"
    );
    assert!(!child("leaking", &[("PTX_STRICT", "1")]).status.success());
}

#[test]
#[ignore = "looks for a device; run by `devices` in a process of its own"]
fn counting() {
    let wanted: i32 =
        std::env::var("PTX_DEVICE_COUNT").expect("a count").parse().expect("a number");
    assert_eq!(cuInit(0), if wanted == 0 { 100 } else { 0 });
    if wanted > 0 {
        assert_eq!(get(|out| cuDeviceGetCount(out)), Ok(wanted));
        assert_eq!(get(|out| cuDeviceGetAttribute(out, 75, wanted - 1)), Ok(12));
        assert_eq!(get(|out| cuDeviceGetAttribute(out, 16, wanted - 1)), Ok(80));
        // Memory of one device is none of the other's.
        let contexts = [0, 1]
            .map(|device| get(|out| cuDevicePrimaryCtxRetain(out, device)).expect("a context"));
        assert_eq!(cuCtxSetCurrent(contexts[0]), 0);
        let at = get(|out| cuMemAlloc_v2(out, 4)).expect("memory");
        assert_eq!(cuMemsetD8_v2(at, 0, 4), 0);
        assert_eq!(cuCtxSetCurrent(contexts[1]), 0);
        assert_eq!(cuMemsetD8_v2(at, 0, 4), 700);
    }
}

#[test]
fn devices() {
    for count in ["0", "2"] {
        let variables =
            [("PTX_DEVICE_COUNT", count), ("PTX_ARCH", "120"), ("PTX_MULTIPROCESSORS", "80")];
        let output = child("counting", &variables);
        assert!(output.status.success(), "{output:?}");
    }
    let output = child("leaking", &[("PTX_MEMORY", "much")]);
    assert!(
        !output.status.success() && said(&output, "PTX_MEMORY=much is no number"),
        "{output:?}"
    );
}
