//! The operations on a CUDA device, bit for bit as on the processor. Feature `cuda`.
//!
//! ```no_run
//! use dropblock::cuda::{Device, Layer};
//! use dropblock::{DropBlock, Key, Shape};
//!
//! let plan = DropBlock::new(7, 0.1)?.plan(Shape::nchw(32, 256, 14, 14))?;
//! let device = Device::new(0)?;
//! let stream = device.stream()?;
//! let layer = Layer::new(&plan, &stream)?;                  // takes its memory once
//! let mut x = device.upload(&vec![1.0_f32; plan.elements()])?;
//! layer.pass().forward_in_place(Key::new(2024).with_step(17), x.slice_mut(), None)?;   // only enqueues
//! let mut y = vec![0.0; plan.elements()];
//! stream.download(x.slice(), &mut y)?;                          // waits
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Values
//!
//! Masks, counts, scales and outputs equal those of [`Plan`](crate::Plan) and do not depend on
//! device, launch or stream. Only which NaN a kept NaN becomes is left open.
//!
//! # Building and running
//!
//! The driver is opened when the first device is, so that a program starts without one and gets
//! [`Error::NoDriver`]. It takes Linux, a driver of CUDA 10.0 or newer and a device of compute
//! capability 7.0 (Volta) or higher. The kernels are part of the crate as PTX, which the driver
//! compiles.
//!
//! A build needs no toolkit, only a directory `lib64`, for which the build script of `cust` looks.
//! Without one it stops with "Could not find a cuda installation". Give it one with an empty archive:
//!
//! ```text
//! mkdir -p cuda-stub/lib64 && printf '!<arch>\n' > cuda-stub/lib64/libcuda.a
//! export CUDA_LIBRARY_PATH=$PWD/cuda-stub
//! ```
//!
//! The crate defines the driver's functions that it uses as about 30 symbols (`cuInit` and so on), which
//! call the driver. A program that also links the driver library gets them from here, to the same
//! effect. Two versions of this crate with this feature cannot be linked into one program.
//!
//! # Tensors of a framework
//!
//! [`Slice::from_raw`] and [`SliceMut::from_raw`] take device addresses, [`Stream::from_raw`] takes
//! a stream. Only primary contexts are supported, which is what the CUDA runtime has.
//!
//! # Threads
//!
//! Everything here may be sent to and shared by threads. The device's context is made current
//! for each call, and the thread's own one afterwards.

mod apply;
mod buffer;
mod conformance;
mod device;
mod dilation;
mod drawing;
mod driver;
mod enqueue;
mod error;
mod geometry;
mod jump;
mod launch;
mod layer;
mod params;
mod pass;

pub use buffer::{Buffer, Slice, SliceMut};
pub use bytemuck;
pub use device::{Device, Event, Stream};
pub use dilation::Dilation;
pub use error::Error;
pub use layer::Layer;
pub use pass::Pass;
