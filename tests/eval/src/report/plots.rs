//! Plots as SVG within a page: drawn on 360 units, so that their text is readable on a phone, with a
//! title and a description for those who do not see them. Runs differ in their sign as well as in
//! their colour.

use maud::{Markup, html};

use crate::scores::Estimate;

/// Width of all plots, in units.
const WIDTH: f64 = 360.0;

/// What a plot is called, and what it shows, in words.
#[derive(Debug)]
pub(super) struct Caption {
    /// Makes the ids of its elements; no blanks.
    pub id: String,
    /// Title.
    pub title: String,
    /// What there is to see, in numbers.
    pub description: String,
}

fn frame(caption: &Caption, height: f64, drawing: Markup) -> Markup {
    let (title, description) = (format!("{}-t", caption.id), format!("{}-d", caption.id));
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img" aria-labelledby=(format!("{title} {description}")) {
            title id=(title) { (caption.title) }
            desc id=(description) { (caption.description) }
            (drawing)
        }
    }
}

/// The sign of a run: circle, square, diamond, triangle.
fn sign(run: usize, x: f64, y: f64) -> Markup {
    let class = colour(run);
    let path = match run % 4 {
        0 => return html! { circle class=(class) cx=(round(x)) cy=(round(y)) r="4" {} },
        1 => format!("M{} {}h7v7h-7z", round(x - 3.5), round(y - 3.5)),
        2 => format!("M{} {}l5 5l-5 5l-5 -5z", round(x), round(y - 5.0)),
        _ => format!("M{} {}l5 8h-10z", round(x), round(y - 4.5)),
    };
    html! { path class=(class) d=(path) {} }
}

/// Class of a run's colour.
fn colour(run: usize) -> String {
    format!("s{}", run % 4)
}

/// The signs with the names of the runs; of one run there is none.
pub(super) fn legend(labels: &[String]) -> Markup {
    html! {
        @if labels.len() > 1 {
            ul.legend {
                @for (run, label) in labels.iter().enumerate() {
                    li { svg viewBox="0 0 14 14" aria-hidden="true" { (sign(run, 7.0, 7.0)) } " " (label) }
                }
            }
        }
    }
}

/// A row of [`whiskers`].
#[derive(Debug)]
pub(super) struct Row {
    /// What it is.
    pub label: String,
    /// Its number, run by run.
    pub estimates: Vec<Option<Estimate>>,
}

/// A dot for each number, with its interval as a line through it; on an axis that has 0 and 1.
pub(super) fn whiskers(caption: &Caption, rows: &[Row]) -> Markup {
    let all = || rows.iter().flat_map(|row| row.estimates.iter().flatten());
    let low = if all().any(|it| it.low < 0.0) { -1.0 } else { 0.0 };
    let x = |value: f64| 140.0 + 165.0 * (value.clamp(low, 1.0) - low) / (1.0 - low);
    let mut y = 8.0;
    let mut drawn: Vec<(f64, &Row)> = Vec::new();
    for row in rows {
        drawn.push((y, row));
        y += 14.0 * count(row.estimates.len()) + 8.0;
    }
    let ticks: &[f64] = if low < 0.0 { &[-1.0, -0.5, 0.0, 0.5, 1.0] } else { &[0.0, 0.25, 0.5, 0.75, 1.0] };
    frame(
        caption,
        y + 18.0,
        html! {
            @for tick in ticks {
                line.grid x1=(round(x(*tick))) x2=(round(x(*tick))) y1="4" y2=(round(y)) {}
                text.tick x=(round(x(*tick))) y=(round(y + 13.0)) text-anchor="middle" { (tick) }
            }
            @for (y, row) in &drawn {
                text x="134" y=(round(y + 11.0)) text-anchor="end" { (row.label) }
                @for (run, estimate) in row.estimates.iter().enumerate() {
                    @if let Some(it) = estimate {
                        @let y = y + 7.0 + 14.0 * count(run);
                        line.whisker.(colour(run)) x1=(round(x(it.low))) x2=(round(x(it.high))) y1=(round(y)) y2=(round(y)) {}
                        (sign(run, x(it.value), y))
                        text.value x="314" y=(round(y + 4.0)) { (format!("{:.3}", it.value)) }
                    }
                }
            }
        },
    )
}

/// A bar from 0 for each number, with its interval as a line over its end.
pub(super) fn bars(caption: &Caption, rows: &[Row]) -> Markup {
    let x = |value: f64| 140.0 + 165.0 * value.clamp(0.0, 1.0);
    let mut y = 8.0;
    let mut drawn: Vec<(f64, &Row)> = Vec::new();
    for row in rows {
        drawn.push((y, row));
        y += 14.0 * count(row.estimates.len()) + 8.0;
    }
    frame(
        caption,
        y + 4.0,
        html! {
            @for (y, row) in &drawn {
                text x="134" y=(round(y + 11.0)) text-anchor="end" { (cut(&row.label)) }
                @for (run, estimate) in row.estimates.iter().enumerate() {
                    @if let Some(it) = estimate {
                        @let y = y + 14.0 * count(run);
                        rect.bar.(colour(run)) x="140" y=(round(y + 2.0)) width=(round(x(it.value) - 140.0)) height="10" {}
                        line.error x1=(round(x(it.low))) x2=(round(x(it.high))) y1=(round(y + 7.0)) y2=(round(y + 7.0)) {}
                        text.value x="314" y=(round(y + 11.0)) { (format!("{:.3}", it.value)) }
                    }
                }
            }
            line.axis x1="140" x2="140" y1="4" y2=(round(y)) {}
        },
    )
}

/// Long labels do not fit beside their bar; the table has them whole.
fn cut(label: &str) -> String {
    crate::report::text::short(label, 20)
}

/// How many are in each class, run by run, with the numbers over the bars.
pub(super) fn histogram(caption: &Caption, classes: &[(String, Vec<usize>)]) -> Markup {
    let most = count(classes.iter().flat_map(|(_, counts)| counts).copied().max().unwrap_or(0).max(1));
    let step = (WIDTH - 10.0) / count(classes.len().max(1));
    let runs = classes.first().map_or(1, |(_, counts)| counts.len()).max(1);
    let width = (step - 6.0) / count(runs);
    let height = |counted: usize| 90.0 * count(counted) / most;
    frame(
        caption,
        134.0,
        html! {
            @for (place, (label, counts)) in classes.iter().enumerate() {
                @let left = 5.0 + step * count(place);
                @for (run, counted) in counts.iter().enumerate() {
                    @let x = left + 3.0 + width * count(run);
                    rect.bar.(colour(run)) x=(round(x)) y=(round(112.0 - height(*counted))) width=(round(width)) height=(round(height(*counted))) {}
                    @if *counted > 0 && runs < 3 {
                        text.count x=(round(x + width / 2.0)) y=(round(108.0 - height(*counted))) text-anchor="middle" { (counted) }
                    }
                }
                text.tick x=(round(left + step / 2.0)) y="127" text-anchor="middle" { (label) }
            }
            line.axis x1="5" x2=(WIDTH - 5.0) y1="112" y2="112" {}
        },
    )
}

/// A line of a [`chart`].
#[derive(Debug)]
pub(super) struct Line {
    /// Whose colour it has.
    pub run: usize,
    /// Which of a run's lines it is: whole, dashed.
    pub is_dashed: bool,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// Axes of a [`chart`]: what they are, and where they end. They begin at 0.
#[derive(Debug)]
pub(super) struct Axes {
    /// What goes to the right.
    pub x: String,
    /// What goes up.
    pub y: String,
    /// Where the right end is.
    pub right: f64,
    /// What is written at it.
    pub end: String,
}

/// Lines, with points that are marked and a place that is marked; y goes from 0 to 1.
pub(super) fn chart(
    caption: &Caption,
    axes: &Axes,
    lines: &[Line],
    points: &[(usize, f64, f64)],
    at: Option<f64>,
) -> Markup {
    let right = if axes.right > 0.0 { axes.right } else { 1.0 };
    let x = |value: f64| 34.0 + 310.0 * (value / right).clamp(0.0, 1.0);
    let y = |value: f64| 190.0 - 166.0 * value.clamp(0.0, 1.0);
    let path = |line: &Line| -> String {
        line.points.iter().map(|(px, py)| format!("{},{}", round(x(*px)), round(y(*py)))).collect::<Vec<_>>().join(" ")
    };
    frame(
        caption,
        226.0,
        html! {
            @for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
                line.grid x1="34" x2="344" y1=(round(y(tick))) y2=(round(y(tick))) {}
                text.tick x="30" y=(round(y(tick) + 4.0)) text-anchor="end" { (tick) }
            }
            text.tick x="4" y="12" { (axes.y) }
            text.tick x="34" y="204" { "0" }
            text.tick x="344" y="204" text-anchor="end" { (axes.end) }
            text.tick x="189" y="220" text-anchor="middle" { (axes.x) }
            @if let Some(at) = at {
                line.mark x1=(round(x(at))) x2=(round(x(at))) y1="24" y2="190" {}
            }
            @for line in lines {
                polyline.line.(colour(line.run)).dashed[line.is_dashed] points=(path(line)) {}
            }
            @for (run, px, py) in points { (sign(*run, x(*px), y(*py))) }
        },
    )
}

/// Two digits behind the point are a hundredth of a pixel.
fn round(value: f64) -> String {
    let written = format!("{value:.1}");
    written.strip_suffix(".0").map_or(written.clone(), str::to_owned)
}

#[allow(clippy::cast_precision_loss)] // counts of what is drawn
fn count(value: usize) -> f64 {
    value as f64
}
