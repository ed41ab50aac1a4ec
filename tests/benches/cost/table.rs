//! Lines of the table.

/// The head of a part.
pub(crate) fn head(title: &str) {
    println!("\n{title}");
    println!(
        "{:42}{:>9}{:>9}{:>7}  goal",
        "", "dayreel", "rival", "ratio"
    );
}

/// A figure beside the rival's.
pub(crate) fn rival(name: &str, ours: f64, theirs: f64, goal: &str) {
    println!(
        "{name:42}{ours:9.2}{theirs:9.2}{:7.2}  {goal}",
        ours / theirs
    );
}

/// A figure that stands alone.
pub(crate) fn figure(name: &str, ours: f64, goal: &str) {
    println!("{name:42}{ours:9.3}{:16}  {goal}", "");
}
