//! The frames of a trace with the source around them. Each file is read and parsed once, whatever the number of its frames.

use std::collections::BTreeMap;

use super::look_around::shown;
use crate::config::{Config, SourceExplode};
use crate::detect::{Language, TraceFrame};
use crate::frame::{Exploder, FrameOptions};
use crate::incident::Incident;
use crate::incident::report_view::{FrameView, frame_order};
use crate::store::evidence::{self, Roots};

/// All frames of an incident in the order of its report, those of the application with their source.
pub(super) fn quoted(config: &Config, incident: &Incident) -> Vec<FrameView> {
    let Some(trace) = &incident.root.trace else { return Vec::new() };
    let explode = &config.source_explode;
    let mut views: Vec<FrameView> = frame_order(trace)
        .into_iter()
        .filter_map(|at| trace.frames.get(at))
        .take(explode.max_frames.max(1))
        .map(|frame| FrameView {
            file: frame.file.as_deref().map(|file| shown(&config.project, file)),
            line: frame.line,
            function: frame.function.clone(),
            in_app: frame.in_app && !skipped(explode, frame),
            ..FrameView::default()
        })
        .collect();
    if explode.enabled {
        if matches!(trace.language, Language::Java | Language::Kotlin | Language::Scala) {
            name_packages(config, &mut views);
        }
        add_source(config, &mut views);
    }
    views
}

fn skipped(config: &SourceExplode, frame: &TraceFrame) -> bool {
    frame.file.as_deref().is_some_and(|file| config.skip_paths.iter().any(|part| file.contains(part.as_str())))
}

fn add_source(config: &Config, views: &mut [FrameView]) {
    let roots = Roots::of(config);
    let mut exploder = Exploder::new(FrameOptions {
        context_lines: config.source_explode.context_lines,
        languages: config.source_explode.languages.clone(),
        ..FrameOptions::default()
    });
    let mut wanted: BTreeMap<String, Vec<(&mut FrameView, u32)>> = BTreeMap::new();
    for view in views.iter_mut().filter(|view| view.in_app) {
        if let (Some(file), Some(line)) = (view.file.clone(), view.line) {
            wanted.entry(file).or_default().push((view, line));
        }
    }
    for (file, places) in wanted {
        match evidence::source(&roots, &file) {
            Ok(source) => {
                let lines: Vec<u32> = places.iter().map(|(_, line)| *line).collect();
                let exploded = exploder.explode(&source.bytes, &file, &lines);
                for ((view, _), frame) in places.into_iter().zip(exploded) {
                    view.source = Some(frame);
                }
            }
            Err(why) => places.into_iter().for_each(|(view, _)| view.note = Some(why.to_string())),
        }
    }
}

/// The JVM prints a file without its folder. The package says the end of the path, and the project has the rest.
fn name_packages(config: &Config, views: &mut [FrameView]) {
    let wanted: Vec<String> = views.iter().filter(|view| view.in_app).filter_map(path_in_package).collect();
    let found = evidence::ending_with(&config.project, &wanted);
    for view in views.iter_mut().filter(|view| view.in_app) {
        if let Some(path) = path_in_package(view).and_then(|end| found.get(&end)) {
            view.file = Some(path.clone());
        }
    }
}

/// `shop/Shipping.java` for `shop.Shipping$Label.print` in `Shipping.java`.
fn path_in_package(view: &FrameView) -> Option<String> {
    let (file, function) = (view.file.as_deref()?, view.function.as_deref()?);
    if file.contains('/') {
        return None;
    }
    let mut parts: Vec<&str> = function.split('.').collect();
    // The class and its method are not part of the package.
    parts.truncate(parts.len().saturating_sub(2));
    parts.push(file);
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_become_paths() {
        let rows = [
            ("shop.Shipping.label", "Shipping.java", Some("shop/Shipping.java")),
            ("shop.Shipping$Label.print", "Shipping.java", Some("shop/Shipping.java")),
            ("com.example.app.MainKt.main", "Main.kt", Some("com/example/app/Main.kt")),
            ("Main.main", "Main.java", Some("Main.java")),
            ("main", "Main.java", Some("Main.java")),
            ("shop.Shipping.label", "src/Shipping.java", None),
        ];
        for (function, file, path) in rows {
            let view = FrameView { function: Some(function.into()), file: Some(file.into()), ..FrameView::default() };
            assert_eq!(path_in_package(&view).as_deref(), path, "{function}");
        }
    }
}
