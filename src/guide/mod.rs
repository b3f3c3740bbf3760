//! The guide: short pages, each about one question. They hold text and pictures, no items.
//!
//! | page | answers |
//! | --- | --- |
//! | [`quick_start`] | how do I use it in a training loop? |
//! | [`keys`] | which mask is drawn, and how do batches, machines and restarts agree on it? |
//! | [`options`] | which options should I set, and what do other implementations do? |
//! | [`pictures`] | what does each option look like? |
//! | [`evidence`] | does it help? |
//! | [`fusing`] | how do I apply the mask in a kernel of my own? |
//! | [`microcontrollers`] | how much flash and stack does it take? |
//! | [`gpu`] | how do I build and run it on a CUDA device? |
//! | [`reproducibility`] | what never changes, and how is a mask defined? |

pub mod quick_start {
    #![doc = include_str!("quick_start.md")]
}

pub mod keys {
    #![doc = include_str!("keys.md")]
}

pub mod options {
    #![doc = include_str!("options.md")]
}

pub mod pictures {
    // Rustdoc copies no files. So these definitions of the pictures, as data, come before those of the
    // page, which are for readers of the Markdown: the first one counts.
    #![doc = include_str!("pictures.txt")]
    #![doc = include_str!("pictures.md")]
}

pub mod evidence {
    #![doc = include_str!("pictures.txt")]
    #![doc = include_str!("evidence.md")]
}

pub mod fusing {
    #![doc = include_str!("fusing.md")]
}

pub mod microcontrollers {
    #![doc = include_str!("microcontrollers.md")]
}

pub mod gpu {
    #![doc = include_str!("gpu.md")]
    #![doc = ""]
    // Without the feature there is no such module to link to.
    #![cfg_attr(feature = "cuda", doc = "[`cuda`]: crate::cuda")]
    #![cfg_attr(
        not(feature = "cuda"),
        doc = "[`cuda`]: https://docs.rs/dropblock/latest/dropblock/cuda/index.html"
    )]
}

pub mod reproducibility {
    #![doc = include_str!("reproducibility.md")]
}
