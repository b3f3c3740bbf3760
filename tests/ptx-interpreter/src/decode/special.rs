//! Registers that the hardware sets.

use crate::program::Special;

/// The special register of a name, if it is supported.
pub(super) fn special(name: &str) -> Option<Special> {
    let axis = |rest: &str| match rest {
        ".x" => Some(0),
        ".y" => Some(1),
        ".z" => Some(2),
        _ => None,
    };
    let name = name.strip_prefix('%')?;
    if let Some(at) = name.find('.') {
        let axis = axis(&name[at..])?;
        return Some(match &name[..at] {
            "tid" => Special::Thread(axis),
            "ntid" => Special::Threads(axis),
            "ctaid" => Special::Block(axis),
            "nctaid" => Special::Blocks(axis),
            _ => return None,
        });
    }
    Some(match name {
        "laneid" => Special::Lane,
        "warpid" => Special::WarpNumber,
        "lanemask_eq" => Special::LaneMask(|lane, own| lane == own),
        "lanemask_lt" => Special::LaneMask(|lane, own| lane < own),
        "lanemask_le" => Special::LaneMask(|lane, own| lane <= own),
        "lanemask_gt" => Special::LaneMask(|lane, own| lane > own),
        "lanemask_ge" => Special::LaneMask(|lane, own| lane >= own),
        "dynamic_smem_size" => Special::DynamicShared,
        _ => return None,
    })
}
