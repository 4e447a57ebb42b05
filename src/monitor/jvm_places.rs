//! Where the source of a JVM frame may be: such frames name a class and the last part of a path only.

use crate::detect::Language;

/// Source roots of Maven, Gradle, sbt and plain `javac`, most common first.
const ROOTS: [&str; 9] = [
    "src/main/java/",
    "src/",
    "",
    "src/main/kotlin/",
    "src/main/scala/",
    "src/test/java/",
    "app/src/main/java/",
    "src/test/kotlin/",
    "src/test/scala/",
];

/// Paths relative to the project at which the file of `function` (`shop.Inventory.take`) may be; empty when the frame
/// names a path already or is of another language.
pub(super) fn places(language: Language, file: &str, function: Option<&str>) -> Vec<String> {
    let is_jvm = matches!(language, Language::Java | Language::Kotlin | Language::Scala);
    let Some(function) = function.filter(|_| is_jvm && !file.contains(['/', '\\'])) else { return Vec::new() };
    // `java.base/java.util.List.of`, `app//shop.Main.main`: the module comes first.
    let qualified = function.rsplit('/').next().unwrap_or(function);
    let package = qualified.rsplitn(3, '.').nth(2).map(|package| package.replace('.', "/") + "/").unwrap_or_default();
    ROOTS.iter().map(|root| format!("{root}{package}{file}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_frames() {
        let rows = [
            (Language::Java, "Inventory.java", Some("shop.Inventory.take"), "src/main/java/shop/Inventory.java"),
            (Language::Java, "Main.java", Some("app//a.b.Main$Inner.run"), "src/main/java/a/b/Main.java"),
            (Language::Java, "Main.java", Some("Main.main"), "src/main/java/Main.java"),
            (Language::Java, "src/Main.java", Some("Main.main"), ""),
            (Language::Java, "Main.java", None, ""),
            (Language::Python, "main.py", Some("a.b.c"), ""),
        ];
        for (language, file, function, first) in rows {
            let places = places(language, file, function);
            assert_eq!(places.first().map_or("", String::as_str), first, "{file}, {function:?}");
        }
    }
}
