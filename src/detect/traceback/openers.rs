//! Where in a line a trace begins, and how its other lines may look.

use std::sync::{Arc, LazyLock};

use regex::RegexSet;

use super::contest::{Contest, MAX_WAYS};
use super::head::{self, Candidate};
use super::little::{Item, Little, Route, text_line};
use super::prefix::{Fields, Layer};
use super::{Grammar, OpenTrace};
use crate::detect::Language;
use crate::detect::line::TextLine;

/// Opens a trace at a line: behind its known prefixes, behind a logger's head, behind any text that the next line has too.
///
/// `before` gives the lines of a little stream in front of this one.
pub(super) fn open(
    grammars: &Arc<[Box<dyn Grammar>]>,
    item: &Item,
    before: impl Fn(&Route) -> Vec<TextLine>,
) -> Option<Contest> {
    let opener = Opener { grammars, item, before };
    let ways = opener.behind_prefixes().or_else(|| opener.behind_heads()).or_else(|| opener.behind_tags());
    let mut ways = ways?;
    ways.truncate(MAX_WAYS);
    Contest::new(ways)
}

struct Opener<'a, B> {
    grammars: &'a Arc<[Box<dyn Grammar>]>,
    item: &'a Item,
    before: B,
}

impl<B: Fn(&Route) -> Vec<TextLine>> Opener<'_, B> {
    /// The surest place first: all known prefixes taken off.
    fn behind_prefixes(&self) -> Option<Vec<Little>> {
        let layers = &self.item.layers;
        for (depth, layer) in layers.iter().enumerate().rev() {
            let route = Route { key: layer.key.clone(), head: None };
            let Some(mut way) = self.way(route, &layer.rest, &layer.fields) else { continue };
            // A grammar that reads over a head sees a trace in a line that others have the same head in front of.
            let bare = self.without_prefix(layers.get(..depth).unwrap_or_default(), &layer.rest, &layer.fields);
            // Such a grammar sees it behind each part of the head: the parts must leave room for the ways without a head.
            let room = MAX_WAYS.saturating_sub(bare.len() + 1);
            let candidates = head::heads(&layer.rest);
            let headed = candidates.iter().filter_map(|candidate| Some((self.headed(layer, candidate)?, candidate)));
            let mut heads = Vec::new();
            let mut ended = false;
            for (headed, candidate) in headed.take(room) {
                ended |= !candidate.behind_level;
                way.add_fields(&candidate.fields);
                heads.push(headed);
            }
            heads.reverse();
            if !ended {
                heads.extend(self.tagged(layer));
                heads.truncate(room);
            }
            return Some(heads.into_iter().chain([way]).chain(bare).collect());
        }
        None
    }

    /// Behind what looks like a logger's head.
    fn behind_heads(&self) -> Option<Vec<Little>> {
        let layers = &self.item.layers;
        for (depth, layer) in self.outer_and_inner() {
            for candidate in head::heads(&layer.rest) {
                let Some(way) = self.headed(layer, &candidate) else { continue };
                let text = layer.rest.get(candidate.at..).unwrap_or_default();
                let fields = merged(layer, &candidate);
                let shallower = layers.get(..=depth).unwrap_or_default();
                let mut ways = vec![way];
                ways.extend(self.without_prefix(shallower, text, &fields));
                return Some(ways);
            }
        }
        None
    }

    /// Behind any text that may be a tag; only a second line with the same text proves it.
    fn behind_tags(&self) -> Option<Vec<Little>> {
        for (_, layer) in self.outer_and_inner() {
            let ways = self.tagged(layer);
            if !ways.is_empty() {
                return Some(ways);
            }
        }
        None
    }

    /// The line behind the prefixes that name its writer, and behind all prefixes.
    fn outer_and_inner(&self) -> impl Iterator<Item = (usize, &Layer)> {
        let layers = &self.item.layers;
        let last = layers.len().saturating_sub(1);
        let inner = layers.get(last).filter(|_| last > 0).map(|layer| (last, layer));
        inner.into_iter().chain(layers.first().map(|layer| (0, layer)))
    }

    fn headed(&self, layer: &Layer, candidate: &Candidate) -> Option<Little> {
        let route = Route { key: layer.key.clone(), head: Some(candidate.head.clone()) };
        self.way(route, layer.rest.get(candidate.at..)?, &merged(layer, candidate))
    }

    fn tagged(&self, layer: &Layer) -> Vec<Little> {
        let candidates = head::tags(&layer.rest);
        let ways = candidates.iter().filter_map(|candidate| self.headed(layer, candidate));
        ways.map(Little::unproven).collect()
    }

    /// Only the first line has the prefix, or only some of its parts.
    fn without_prefix(&self, shallower: &[Layer], text: &str, fields: &Fields) -> Vec<Little> {
        let routes = shallower.iter().rev().map(|layer| Route { key: layer.key.clone(), head: None });
        let mut ways: Vec<Little> = routes.filter_map(|route| self.way(route, text, fields)).collect();
        if shallower.first().is_none_or(|layer| !layer.key.is_empty()) {
            // A prefix that names its writer: the other lines may have none for all that.
            ways.extend(self.way(Route { key: String::new(), head: None }, text, fields));
        }
        ways
    }

    fn way(&self, route: Route, text: &str, fields: &Fields) -> Option<Little> {
        let item = self.item;
        // Most places of most lines are none at which anybody would open a trace: nothing is copied for those.
        let asked = |grammar: &dyn Grammar| starters_of(grammar.language()).is_none_or(|set| set.is_match(text));
        let mut asked =
            self.grammars.iter().enumerate().skip(item.from).filter(|(_, it)| asked(it.as_ref())).peekable();
        asked.peek()?;
        let line = text_line(&item.line, text);
        let before = (self.before)(&route);
        let opened: (usize, Box<dyn OpenTrace>) =
            asked.find_map(|(index, grammar)| Some((index, grammar.open(&before, &line)?)))?;
        Some(Little::new(route, opened, fields.clone(), before, item.clone(), text.to_owned()))
    }
}

/// The starters of a language's grammar, for a text without its prefix.
fn starters_of(language: Language) -> Option<&'static RegexSet> {
    static SETS: LazyLock<Vec<(Language, RegexSet)>> = LazyLock::new(|| {
        let set = |grammar: &dyn Grammar| Some((grammar.language(), RegexSet::new(grammar.starters()).ok()?));
        super::grammars().iter().filter_map(|grammar| set(grammar.as_ref())).collect()
    });
    SETS.iter().find(|(known, _)| *known == language).map(|(_, set)| set)
}

fn merged(layer: &Layer, candidate: &Candidate) -> Fields {
    let mut fields = layer.fields.clone();
    for (name, value) in &candidate.fields {
        fields.entry(name.clone()).or_insert_with(|| value.clone());
    }
    fields
}
