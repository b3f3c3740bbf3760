//! The table and the plot.

use crate::digits::{HOLE, TRAINING, Test};
use crate::{Method, Outcome};

/// A mean over the runs and its standard error, both in percent of the digits.
#[derive(Clone, Copy)]
struct Estimate {
    mean: f64,
    /// Of one run there is none.
    error: Option<f64>,
}

impl Estimate {
    fn new(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let error = (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt());
        Self { mean, error }
    }

    fn text(self, signed: bool) -> String {
        let mean = self.mean;
        let mean = if signed { format!("{mean:+.2}") } else { format!("{mean:.2}") };
        match self.error {
            Some(error) => format!("{mean} ± {error:.2}"),
            None => mean,
        }
    }
}

/// The outcomes of one method: on clean digits and with a hole, each as it is and less the first
/// method's.
struct Row<'m> {
    method: &'m Method,
    estimates: [[Estimate; 2]; 2],
}

pub(crate) fn print(methods: &[Method], outcomes: &[Vec<Outcome>], test: Test) {
    let of = outcomes[0][0].of;
    let digits = match test {
        Test::Held => "digits that no run trains on",
        Test::Pool => "digits to choose by",
    };
    println!(
        "Percent right of {of} {digits}, after training on {TRAINING}; {} runs of each method.\n\
         Mean and standard error; differences are between runs with the same seed.\n",
        outcomes.len()
    );
    let rows: Vec<Row<'_>> =
        methods.iter().enumerate().map(|(i, method)| row(i, method, outcomes)).collect();

    let hole = format!("hole of {HOLE} x {HOLE}");
    println!("{:16}{:>4}   {:15}{:17}{hole:18}less none", "", "p", "clean", "less none");
    for (i, Row { method, estimates }) in rows.iter().enumerate() {
        let [[clean, clean_less], [with_hole, with_hole_less]] = *estimates;
        let less = |estimate: Estimate| if i == 0 { String::new() } else { estimate.text(true) };
        let line = format!(
            "{:16}{:>4}   {:15}{:17}{:18}{}",
            method.name,
            method.drop_prob,
            clean.text(false),
            less(clean_less),
            with_hole.text(false),
            less(with_hole_less),
        );
        println!("{}", line.trim_end());
    }
    if test == Test::Pool {
        return;
    }
    for (k, name) in ["clean".to_owned(), hole].into_iter().enumerate() {
        plot(&rows[1..], k, &name);
    }
}

fn row<'m>(i: usize, method: &'m Method, outcomes: &[Vec<Outcome>]) -> Row<'m> {
    let estimate = |right: fn(&Outcome) -> usize, less: Option<usize>| {
        let percent = |outcome: &Outcome| 100.0 * right(outcome) as f64 / outcome.of as f64;
        let value =
            |row: &Vec<Outcome>| percent(&row[i]) - less.map_or(0.0, |first| percent(&row[first]));
        Estimate::new(&outcomes.iter().map(value).collect::<Vec<_>>())
    };
    let both = |right: fn(&Outcome) -> usize| [estimate(right, None), estimate(right, Some(0))];
    Row { method, estimates: [both(|o| o.clean), both(|o| o.with_hole)] }
}

/// Columns of the plot.
const WIDTH: usize = 60;

/// The differences as points with two standard errors to each side.
fn plot(rows: &[Row<'_>], k: usize, name: &str) {
    let spans = rows.iter().map(|row| {
        let Estimate { mean, error } = row.estimates[k][1];
        let side = 2.0 * error.unwrap_or(0.0);
        (mean - side, mean, mean + side)
    });
    let spans: Vec<_> = spans.collect();
    let low = spans.iter().fold(0.0, |low, span| span.0.min(low)).floor();
    let high = spans.iter().fold(1.0, |high, span| span.2.max(high)).ceil();
    let column = |value: f64| ((value - low) / (high - low) * (WIDTH - 1) as f64).round() as usize;

    println!("\n{name}, less none: o the mean, - two standard errors to each side");
    for (row, &(from, mean, to)) in rows.iter().zip(&spans) {
        let mut line = vec![' '; WIDTH];
        line[column(0.0)] = '|';
        line[column(from)..=column(to)].fill('-');
        line[column(mean)] = 'o';
        let line: String = line.into_iter().collect();
        println!("{:20}  {}", row.method.name, line.trim_end());
    }
    let mut axis = vec![' '; WIDTH + 4];
    for tick in low as i64..=high as i64 {
        let text = if tick == 0 { "0".to_owned() } else { format!("{tick:+}") };
        let first = column(tick as f64);
        // A label that would touch the one before it is left out.
        if first < 1 || axis[first - 1] == ' ' {
            text.chars().enumerate().for_each(|(i, char)| axis[first + i] = char);
        }
    }
    println!("{:20}  {}", "", axis.into_iter().collect::<String>().trim_end());
}
