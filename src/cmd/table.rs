//! Rows as columns, Markdown or JSON.

use super::cli::Format;
use crate::tree::{Map, Value};

/// Prints rows under headings.
pub(super) fn show(format: Format, headings: &[&str], rows: &[Vec<String>]) -> String {
    match format {
        Format::Json => Value::List(
            rows.iter()
                .map(|row| {
                    Value::Map(
                        headings
                            .iter()
                            .zip(row)
                            .map(|(h, c)| ((*h).to_owned(), Value::from(c.as_str())))
                            .collect::<Map>(),
                    )
                })
                .collect(),
        )
        .to_json(),
        Format::Markdown => {
            let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
            let mut out = line(headings.iter().map(|h| (*h).to_owned()).collect());
            out.push_str(&line(headings.iter().map(|_| "---".to_owned()).collect()));
            for row in rows {
                out.push_str(&line(row.iter().map(|c| c.replace('|', "\\|").replace('\n', " ")).collect()));
            }
            out
        }
        Format::Table => {
            let mut widths: Vec<usize> = headings.iter().map(|h| h.len()).collect();
            for row in rows {
                for (width, cell) in widths.iter_mut().zip(row) {
                    *width = (*width).max(cell.chars().count());
                }
            }
            let line = |cells: Vec<&str>| {
                let mut text = String::new();
                for (i, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                    text.push_str(cell);
                    if i + 1 < cells.len() {
                        text.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
                    }
                }
                text.trim_end().to_owned() + "\n"
            };
            let mut out = line(headings.to_vec());
            for row in rows {
                out.push_str(&line(row.iter().map(String::as_str).collect()));
            }
            out
        }
    }
}
