//! Whether the answer is right, says what it cites, and came whole.
use crate::records::Record;
/// x
pub fn crag(_record: &Record) -> Option<f64> {
    None
}
/// x
pub fn facts_present(_record: &Record) -> Option<f64> {
    None
}
/// x
pub fn facts_forbidden(_record: &Record) -> Option<f64> {
    None
}
/// x
pub fn citation_precision(_record: &Record) -> Option<f64> {
    None
}
/// x
pub fn citation_recall(_record: &Record) -> Option<f64> {
    None
}
/// x
pub fn cited_pages(_record: &Record) -> Option<f64> {
    None
}
/// x
pub fn supported(_record: &Record) -> Option<f64> {
    None
}
/// x
pub fn language(_record: &Record) -> Option<f64> {
    None
}
/// x
pub fn finish(_record: &Record) -> Option<f64> {
    None
}
/// x
pub fn error(_record: &Record) -> Option<f64> {
    None
}
