//! The chart: what a forward pass costs, in multiples of the memory floor.

use std::fmt::Write;

use crate::record::Records;
use crate::table::VARIANTS;
use crate::{PAPER, Tensor};

const WIDTH: f64 = 880.0;
/// The edges of the plot.
const LEFT: f64 = 215.0;
const RIGHT: f64 = 820.0;
const TOP: f64 = 128.0;
/// A bar, and a tensor with its two bars and the gap.
const BAR: f64 = 15.0;
const GROUP: f64 = 44.0;

const OURS: &str = "#1d4ed8";
const PLAIN: &str = "#a8b0bd";
const INK: &str = "#1f2328";
const FAINT: &str = "#59636e";
const FLOOR: &str = "#c2410c";

pub(crate) fn svg(records: &Records) -> String {
    let backend = records.default_backend();
    let ratio = |tensor: &Tensor, backend: &str| {
        let &Tensor { shape, block, p, .. } = tensor;
        records.figure("forward in place", shape, block, p, backend).map(|figure| figure.ratio)
    };
    // The paper's options, and of all others the slowest.
    let slowest = VARIANTS.iter().max_by(|a, b| {
        let [a, b] = [a, b].map(|tensor| ratio(tensor, backend).unwrap_or(0.0));
        a.total_cmp(&b)
    });
    let groups: Vec<_> = PAPER
        .iter()
        .chain(slowest)
        .map(|tensor| (tensor.label, ratio(tensor, backend), ratio(tensor, "plain")))
        .filter(|(_, ours, plain)| ours.is_some() || plain.is_some())
        .collect();
    let most = groups.iter().flat_map(|g| [g.1, g.2]).flatten().fold(2.0, f64::max);
    let step = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
    let step = step.into_iter().find(|step| most / step <= 8.0).unwrap_or(200.0);
    let end = (most / step).ceil() * step;
    let at = |ratio: f64| LEFT + ratio / end * (RIGHT - LEFT);
    let bottom = TOP + groups.len() as f64 * GROUP;
    let height = bottom + 76.0;

    let mut svg = Svg::new(height);
    svg.text(24.0, 36.0, "start", 20, INK, "bold", "Cost of a DropBlock forward pass");
    let about = "Time in multiples of the memory floor: one pass x *= c over the tensor, measured \
                 in the same round.";
    svg.text(24.0, 58.0, "start", 13, FAINT, "normal", about);
    let about = "In place, f32, one thread, p = .1 unless noted, by shape (N, C, H, W) and block size. Shorter \
                 is better.";
    svg.text(24.0, 76.0, "start", 13, FAINT, "normal", about);
    svg.bar(LEFT, 92.0, 14.0, OURS);
    svg.text(LEFT + 20.0, 104.0, "start", 13, INK, "bold", &format!("dropblock ({backend})"));
    svg.bar(LEFT + 190.0, 92.0, 14.0, PLAIN);
    let plain = "plain two-pass implementation, safe Rust";
    svg.text(LEFT + 210.0, 104.0, "start", 13, INK, "normal", plain);

    for tick in 0..=(end / step).round() as usize {
        let value = tick as f64 * step;
        svg.line(at(value), TOP - 6.0, bottom, "#e5e7eb", "");
        svg.text(at(value), bottom + 16.0, "middle", 12, FAINT, "normal", &format!("{value}×"));
    }
    for (i, &(label, ours, plain)) in groups.iter().enumerate() {
        let y = TOP + i as f64 * GROUP + (GROUP - 2.0 * BAR - 2.0) / 2.0;
        svg.text(LEFT - 12.0, y + BAR + 5.0, "end", 13, INK, "normal", label);
        for (ratio, y, color, weight) in
            [(ours, y, OURS, "bold"), (plain, y + BAR + 2.0, PLAIN, "normal")]
        {
            let value = match ratio {
                Some(ratio) if ratio < 10.0 => format!("{ratio:.1}×"),
                Some(ratio) => format!("{ratio:.0}×"),
                None => "-".to_string(),
            };
            let length = at(ratio.unwrap_or(0.0)) - LEFT;
            svg.bar(LEFT, y, length, color);
            // Clear of the line of the floor.
            let x = LEFT + length.max(at(1.0) - LEFT) + 6.0;
            svg.text(x, y + BAR - 3.0, "start", 12, INK, weight, &value);
        }
    }
    svg.line(at(1.0), TOP - 6.0, bottom, FLOOR, " stroke-width=\"2\" stroke-dasharray=\"5 3\"");
    svg.text(at(1.0), bottom + 34.0, "start", 12, FLOOR, "bold", "1× = memory floor");
    let (_, machine) = records.circumstances().split_once("; ").unwrap_or_default();
    svg.text(24.0, height - 16.0, "start", 10, FAINT, "normal", &machine.replace("; ", " · "));
    svg.finish()
}

struct Svg(String);

impl Svg {
    fn new(height: f64) -> Self {
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
             font-family=\"system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\">\n\
             <title>Cost of a DropBlock forward pass in multiples of the memory floor</title>\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        ))
    }

    #[expect(clippy::too_many_arguments, reason = "the attributes of one SVG element")]
    fn text(
        &mut self,
        x: f64,
        y: f64,
        anchor: &str,
        size: u32,
        color: &str,
        weight: &str,
        text: &str,
    ) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" \
             font-weight=\"{weight}\" fill=\"{color}\">{text}</text>"
        );
    }

    fn bar(&mut self, x: f64, y: f64, width: f64, color: &str) {
        let _ = writeln!(
            self.0,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" \
             fill=\"{color}\"/>"
        );
    }

    fn line(&mut self, x: f64, top: f64, bottom: f64, color: &str, more: &str) {
        let _ = writeln!(
            self.0,
            "<line x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" \
             stroke=\"{color}\"{more}/>"
        );
    }

    fn finish(self) -> String {
        self.0 + "</svg>\n"
    }
}
