//! Reading what the bench `floor` printed.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Two runs of the bench.
pub(crate) struct Records {
    runs: [Run; 2],
}

struct Run {
    /// The comment in the first line.
    header: String,
    rows: Vec<Row>,
}

struct Row {
    /// `operation,shape,block,p,backend`.
    key: String,
    time: f64,
    floor: f64,
    ratio: f64,
}

/// The mean of two runs.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    /// The least nanoseconds per element; microseconds for a plan.
    pub(crate) time: f64,
    /// The median ratio to the floor; 0 where there is none.
    pub(crate) ratio: f64,
    /// The floor's own least time.
    pub(crate) floor: f64,
}

/// Returns the pair of records with the latest date.
pub(crate) fn newest(folder: &Path) -> Result<[PathBuf; 2], Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(stem) = name.strip_suffix("-run1.csv").filter(|n| n.starts_with("floor-")) {
            // The name ends with the date; the processor stands before it.
            let date = stem.get(stem.len().saturating_sub("0000-00-00".len())..).unwrap_or(stem);
            names.push((date.to_string(), stem.to_string()));
        }
    }
    let (_, stem) = names.into_iter().max().ok_or("no record floor-*-run1.csv")?;
    Ok([1, 2].map(|run| folder.join(format!("{stem}-run{run}.csv"))))
}

impl Records {
    pub(crate) fn read(paths: &[PathBuf; 2]) -> Result<Self, Box<dyn Error>> {
        let [first, second] = paths;
        let runs = [Run::read(first)?, Run::read(second)?];
        Ok(Self { runs })
    }

    /// Returns the first line of the first run: processor, compiler, commit.
    pub(crate) fn circumstances(&self) -> &str {
        &self.runs[0].header
    }

    /// Returns the backend that runs where none is chosen.
    pub(crate) fn default_backend(&self) -> &str {
        let run = &self.runs[0];
        if let Some((_, name)) = run.header.split_once("default backend ") {
            return name.split([';', ',', ' ']).next().unwrap_or(name);
        }
        // Backends are listed from the slowest to the fastest.
        let backends = run.rows.iter().rev().filter_map(|row| row.key.rsplit(',').next());
        backends.into_iter().find(|&name| !["plain", "floor"].contains(&name)).unwrap_or("simd")
    }

    /// Returns the mean of both runs, or nothing if one of them lacks the row.
    pub(crate) fn figure(
        &self,
        operation: &str,
        shape: &str,
        block: &str,
        p: &str,
        backend: &str,
    ) -> Option<Figure> {
        let key = format!("{operation},{shape},{block},{p},{backend}");
        let find = |run: &Run| {
            let row = run.rows.iter().find(|row| row.key == key)?;
            Some([row.time, row.ratio, row.floor])
        };
        let (a, b) = (find(&self.runs[0])?, find(&self.runs[1])?);
        let mean = |i: usize| (a[i] + b[i]) / 2.0;
        Some(Figure { time: mean(0), ratio: mean(1), floor: mean(2) })
    }
}

impl Run {
    fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let name = path.display();
        let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        let mut lines = text.lines();
        let header = lines.next().and_then(|line| line.strip_prefix("# "));
        let header = header.ok_or_else(|| format!("{name}: the first line is no comment"))?;
        if lines.next() != Some(COLUMNS) {
            return Err(format!("{name}: the columns are not {COLUMNS}").into());
        }
        let row = |line: &str| {
            // From the end: the ratios and the times are numbers, what is before them is the key.
            let mut fields = line.rsplitn(5, ',');
            let ratio = fields.next()?.parse().ok()?;
            let floor = fields.nth(1)?.parse().ok()?;
            let time = fields.next()?.parse().ok()?;
            Some(Row { key: fields.next()?.to_string(), time, floor, ratio })
        };
        let rows = lines.map(|line| row(line).ok_or_else(|| format!("{name}: bad row {line}")));
        Ok(Self { header: header.to_string(), rows: rows.collect::<Result<_, _>>()? })
    }
}

const COLUMNS: &str =
    "operation,shape,block,p,backend,ns_per_element,floor_ns,ratio_min,ratio_median";
