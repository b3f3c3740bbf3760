//! The error codes of the driver interface that occur here, with their names.

macro_rules! codes {
    ($($name:ident = $code:literal, $text:literal, $symbol:literal;)+) => {
        $(#[doc = $text] pub const $name: i32 = $code;)+
        /// Name and meaning of a code, ended by zeros.
        pub fn describe(code: i32) -> Option<(&'static std::ffi::CStr, &'static std::ffi::CStr)> {
            match code {
                $($code => Some((cstr(concat!($symbol, "\0")), cstr(concat!($text, "\0")))),)+
                _ => None,
            }
        }
    };
}

fn cstr(text: &'static str) -> &'static std::ffi::CStr {
    std::ffi::CStr::from_bytes_with_nul(text.as_bytes()).unwrap_or_default()
}

codes! {
    SUCCESS = 0, "no error", "CUDA_SUCCESS";
    INVALID_VALUE = 1, "invalid argument", "CUDA_ERROR_INVALID_VALUE";
    OUT_OF_MEMORY = 2, "out of memory", "CUDA_ERROR_OUT_OF_MEMORY";
    NOT_INITIALIZED = 3, "initialization error", "CUDA_ERROR_NOT_INITIALIZED";
    NO_DEVICE = 100, "no CUDA-capable device is detected", "CUDA_ERROR_NO_DEVICE";
    INVALID_DEVICE = 101, "invalid device ordinal", "CUDA_ERROR_INVALID_DEVICE";
    INVALID_IMAGE = 200, "device kernel image is invalid", "CUDA_ERROR_INVALID_IMAGE";
    INVALID_CONTEXT = 201, "invalid device context", "CUDA_ERROR_INVALID_CONTEXT";
    NO_BINARY_FOR_GPU = 209, "no kernel image is available for execution on the device", "CUDA_ERROR_NO_BINARY_FOR_GPU";
    INVALID_PTX = 218, "a PTX JIT compilation failed", "CUDA_ERROR_INVALID_PTX";
    UNSUPPORTED_PTX_VERSION = 222, "the provided PTX was compiled with an unsupported toolchain.", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION";
    INVALID_HANDLE = 400, "invalid resource handle", "CUDA_ERROR_INVALID_HANDLE";
    NOT_FOUND = 500, "named symbol not found", "CUDA_ERROR_NOT_FOUND";
    NOT_READY = 600, "device not ready", "CUDA_ERROR_NOT_READY";
    ILLEGAL_ADDRESS = 700, "an illegal memory access was encountered", "CUDA_ERROR_ILLEGAL_ADDRESS";
    LAUNCH_TIMEOUT = 702, "the launch timed out and was terminated", "CUDA_ERROR_LAUNCH_TIMEOUT";
    MISALIGNED_ADDRESS = 716, "misaligned address", "CUDA_ERROR_MISALIGNED_ADDRESS";
    LAUNCH_FAILED = 719, "unspecified launch failure", "CUDA_ERROR_LAUNCH_FAILED";
    NOT_SUPPORTED = 801, "operation not supported", "CUDA_ERROR_NOT_SUPPORTED";
}
