//! Whether a frame belongs to the application, judged by its path and name alone.
//!
//! The judgement is a guess that works without looking at any file: package folders, toolchains and the namespaces of
//! well-known frameworks are libraries, everything else is the application's.

use super::in_app_more as more;
use crate::detect::Language;

/// Says whether a frame seems to belong to the application rather than to a library, a runtime or a toolchain.
///
/// `file` and `function` are as printed in the trace. A frame with neither is not the application's.
pub fn is_app(language: Language, file: Option<&str>, function: Option<&str>) -> bool {
    let file = file.map(|file| file.replace('\\', "/"));
    let file = file.as_deref().filter(|file| !file.is_empty());
    let function = function.filter(|function| !function.is_empty());
    if file.is_none() && function.is_none() {
        return false;
    }
    match language {
        Language::Python => file.is_some_and(is_app_python),
        Language::Javascript | Language::Typescript => file.is_some_and(is_app_javascript),
        Language::Go => is_app_go(file, function),
        Language::Rust => is_app_rust(file, function),
        Language::Java | Language::Kotlin | Language::Scala => is_app_jvm(function.unwrap_or_default()),
        Language::Cpp => is_app_cpp(file, function),
        Language::Dotnet => more::is_app_dotnet(file, function),
        Language::Ruby => file.is_some_and(more::is_app_ruby),
        Language::Php => file.is_some_and(more::is_app_php),
        Language::Shell => file.is_none_or(|file| !starts_with_any(file, &["/etc/", "/usr/lib/", "/usr/share/"])),
    }
}

fn is_app_python(file: &str) -> bool {
    if let Some(inner) = file.strip_prefix('<') {
        // Code typed by a person; `<frozen …>`, `<string>` and generated templates are nothing to open.
        return starts_with_any(inner, &["stdin>", "ipython-input", "cell "]);
    }
    let lower = file.to_ascii_lowercase();
    let library = contains_any(
        &lower,
        &[
            "site-packages/",
            "dist-packages/",
            "/lib/python2",
            "/lib/python3",
            "/lib64/python",
            "/lib-python/",
            "/lib_pypy/",
            "/usr/lib/",
            ".egg/",
            "/python/lib/",
            "/frameworks/python.framework/",
            "/pyspark.zip/",
            "/py4j-",
            "importlib._bootstrap",
        ],
    ) || is_windows_stdlib(&lower);
    // Cython prints the path below the package's source root.
    let compiled = !lower.starts_with('/') && ends_with_any(&lower, &[".pyx", ".pxi", ".pxd"]);
    !library && !compiled && !is_console_script(&lower)
}

/// `C:/Python311/Lib/threading.py`, `…/Programs/Python/Python311/lib/…`.
fn is_windows_stdlib(lower: &str) -> bool {
    let mut parts = lower.split('/').peekable();
    while let Some(part) = parts.next() {
        let versioned = part.strip_prefix("python").is_some_and(|v| v.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
        if versioned && parts.peek() == Some(&"lib") {
            return true;
        }
    }
    false
}

/// The small launcher that an installer writes for a package's command (`/opt/venv/bin/torchrun`).
fn is_console_script(lower: &str) -> bool {
    let mut parts = lower.rsplit('/');
    let name = parts.next().unwrap_or_default();
    let folder = parts.next().unwrap_or_default();
    (folder == "bin" && !name.contains('.')) || (folder == "scripts" && name.ends_with(".exe"))
}

fn is_app_javascript(file: &str) -> bool {
    if contains_any(file, &["node_modules/", "/.yarn/", ".pnp.", "webpack/runtime/", "webpack/bootstrap"]) {
        return false;
    }
    if starts_with_any(
        file,
        &["node:", "internal/", "bun:", "ext:", "deno:", "<", "evalmachine.<", "eval at", "https://deno.land/std"],
    ) || matches!(file, "native" | "native code" | "[native code]" | "unknown" | "unknown location")
    {
        return false;
    }
    // Node before 16 prints its own modules without a folder.
    !file.strip_suffix(".js").is_some_and(|name| !name.contains('/') && is_old_node_module(name))
}

fn is_old_node_module(name: &str) -> bool {
    starts_with_any(name, &["_http_", "_stream_", "_tls_"])
        || matches!(
            name,
            "module"
                | "events"
                | "net"
                | "timers"
                | "bootstrap_node"
                | "node"
                | "child_process"
                | "cluster"
                | "dgram"
                | "dns"
                | "domain"
                | "fs"
                | "vm"
                | "zlib"
                | "assert"
                | "buffer"
                | "readline"
        )
}

fn is_app_go(file: Option<&str>, function: Option<&str>) -> bool {
    if let Some(file) = file {
        let library = contains_any(file, &["/pkg/mod/", "/vendor/", "@v", "/share/gocode/src/"])
            || file.starts_with("vendor/")
            || is_goroot(file);
        if library || file.ends_with(".s") || file == "_testmain.go" || file == "_cgo_gotypes.go" {
            return false;
        }
        if file == "proc.go" && function.is_none_or(|f| matches!(f, "main" | "goexit" | "runtime.main")) {
            return false;
        }
    }
    !function.is_some_and(is_go_std)
}

/// A path below the sources of a Go toolchain. `/go/src/app` is a GOPATH and may be the application.
fn is_goroot(file: &str) -> bool {
    let Some((root, _)) = file.split_once("/src/") else { return false };
    let mut parts = root.rsplit('/');
    let last = parts.next().unwrap_or_default();
    let versioned = |part: &str| {
        let digits = part.strip_prefix("go").unwrap_or(part).trim_start_matches('-');
        digits.starts_with(|c: char| c.is_ascii_digit())
    };
    root.ends_with("/usr/local/go")
        || root.ends_with("/usr/lib/go")
        || root.ends_with("/usr/lib/golang")
        || root.ends_with("/libexec")
        || (last.starts_with("go") && versioned(last))
        || (matches!(last, "x64" | "arm64") && root.contains("/go/"))
        || root == "/opt/go"
        || last == "goroot"
        || root == "$GOROOT"
}

fn is_go_std(function: &str) -> bool {
    if matches!(function, "panic" | "goexit") {
        return true;
    }
    let first = function.split(['/', '.']).next().unwrap_or_default();
    // `archive.org/x.F` has a dot in its first path element, `archive/tar.F` has not.
    if function.split_once('/').is_some_and(|(element, _)| element.contains('.')) {
        return false;
    }
    matches!(
        first,
        "archive"
            | "bufio"
            | "bytes"
            | "compress"
            | "container"
            | "context"
            | "crypto"
            | "database"
            | "debug"
            | "encoding"
            | "errors"
            | "expvar"
            | "flag"
            | "fmt"
            | "go"
            | "hash"
            | "html"
            | "image"
            | "internal"
            | "io"
            | "iter"
            | "log"
            | "maps"
            | "math"
            | "mime"
            | "net"
            | "os"
            | "path"
            | "reflect"
            | "regexp"
            | "runtime"
            | "slices"
            | "sort"
            | "strconv"
            | "strings"
            | "sync"
            | "syscall"
            | "testing"
            | "text"
            | "time"
            | "unicode"
    )
}

fn is_app_rust(file: Option<&str>, function: Option<&str>) -> bool {
    if let Some(file) = file {
        return !contains_any(
            file,
            &[
                "/rustc/",
                "/.cargo/",
                "/cargo/registry/",
                "/cargo/git/",
                "/.rustup/",
                "/rustup/toolchains/",
                "/rustlib/src/",
                "src/libstd/",
                "src/libcore/",
                "src/liballoc/",
                "src/libpanic",
                "src/libtest/",
                "/sysdeps/",
                "/csu/",
                "/nptl/",
                "/vendor/",
                "index.crates.io-",
                "github.com-1ecc6299db9ec823",
            ],
        ) && !starts_with_any(file, &["library/", "/usr/src/", "/usr/lib/", "./nptl/", "./csu/", "vendor/"]);
    }
    let Some(function) = function else { return false };
    let name = function.trim_start_matches(['<', '&', '_']).trim_start_matches("dyn ");
    let root = name.split("::").next().unwrap_or_default();
    if !function.contains("::") {
        // C and linker symbols: `main`, `_start`, `rust_begin_unwind`, `__libc_start_main`, `<unknown>`, `clone`.
        return false;
    }
    !matches!(
        root,
        "std"
            | "core"
            | "alloc"
            | "test"
            | "proc_macro"
            | "panic_unwind"
            | "rustc_std_workspace_core"
            | "backtrace"
            | "anyhow"
            | "eyre"
            | "color_eyre"
            | "tokio"
            | "futures"
            | "futures_util"
            | "futures_core"
            | "futures_executor"
            | "async_std"
            | "rayon"
            | "rayon_core"
            | "hyper"
            | "hyper_util"
            | "tower"
            | "axum"
            | "actix_web"
            | "actix_rt"
            | "actix_server"
            | "crossbeam_utils"
            | "tracing"
            | "serde_json"
            | "serde"
    )
}

/// Namespaces of the JVM's runtime, of its languages and of widespread frameworks; each stands for itself and all below.
const JVM_LIBRARIES: &[&str] = &[
    "_COROUTINE",
    "akka",
    "android",
    "androidx",
    "cats",
    "ch.qos.logback",
    "clojure",
    "com.amazonaws",
    "com.android",
    "com.cloudbees",
    "com.datastax",
    "com.fasterxml",
    "com.github.benmanes",
    "com.google.common",
    "com.google.gson",
    "com.google.inject",
    "com.google.protobuf",
    "com.intellij",
    "com.microsoft.sqlserver",
    "com.mongodb",
    "com.mysql",
    "com.netflix",
    "com.oracle",
    "com.rabbitmq",
    "com.squareup",
    "com.sun",
    "com.typesafe",
    "com.zaxxer",
    "dalvik",
    "feign",
    "freemarker",
    "graphql",
    "groovy",
    "groovyjarjarasm",
    "hudson",
    "io.grpc",
    "io.javalin",
    "io.kotest",
    "io.ktor",
    "io.kubernetes",
    "io.lettuce",
    "io.micrometer",
    "io.micronaut",
    "io.netty",
    "io.opentelemetry",
    "io.quarkus",
    "io.reactivex",
    "io.smallrye",
    "io.undertow",
    "io.vertx",
    "jakarta",
    "java",
    "javassist",
    "javax",
    "jdk",
    "jenkins",
    "junit",
    "kotlin",
    "kotlinx",
    "net.bytebuddy",
    "net.sf.cglib",
    "nonapi",
    "okhttp3",
    "okio",
    "oracle.jdbc",
    "org.apache",
    "org.aspectj",
    "org.assertj",
    "org.codehaus",
    "org.eclipse.jetty",
    "org.eclipse.persistence",
    "org.glassfish",
    "org.gradle",
    "org.hamcrest",
    "org.h2",
    "org.hibernate",
    "org.jboss",
    "org.jenkinsci",
    "org.jetbrains",
    "org.jooq",
    "org.junit",
    "org.mockito",
    "org.mybatis",
    "org.neo4j",
    "org.opentest4j",
    "org.postgresql",
    "org.quartz",
    "org.scalatest",
    "org.slf4j",
    "org.specs2",
    "org.spockframework",
    "org.springframework",
    "org.sqlite",
    "org.testng",
    "org.thymeleaf",
    "org.xnio",
    "org.yaml",
    "play",
    "reactor",
    "redis.clients",
    "retrofit2",
    "rx",
    "sbt",
    "scala",
    "shadow",
    "software.amazon",
    "sun",
    "worker.org.gradle",
    "zio",
];

fn is_app_jvm(function: &str) -> bool {
    // `java.base/java.lang.Thread.run`, `app//com.acme.Main.main`.
    let name = function.rsplit('/').next().unwrap_or(function);
    if name.is_empty() || name.starts_with("$Proxy") || name.contains("$$FastClassBySpringCGLIB$$") {
        return false;
    }
    // Call sites that Groovy generates (`java_lang_Integer$div.call`), and Jenkins' rewritten scripts.
    if starts_with_any(name, &["java_lang_", "java_util_", "___cps."]) {
        return false;
    }
    !JVM_LIBRARIES.iter().any(|library| name.strip_prefix(library).is_some_and(|rest| rest.starts_with('.')))
}

fn is_app_cpp(file: Option<&str>, function: Option<&str>) -> bool {
    let library = |file: &str| {
        contains_any(
            file,
            &[
                "libsanitizer/",
                "compiler-rt/",
                "/sysdeps/",
                "/csu/",
                "/nptl/",
                "/libstdc++",
                "/glibc",
                "/c++/",
                "/bits/",
                "/aten/src/",
                "/torch/csrc/",
                "/c10/",
                "/libgfortran/",
                "/googletest/",
            ],
        ) || starts_with_any(file, &["/usr/include/", "/usr/lib/", "/lib/", "/lib64/", "/usr/src/"])
            || starts_with_any(file, &["./nptl/", "./csu/", "./stdlib/", "./assert/", "./string/"])
    };
    if file.is_some_and(library) {
        return false;
    }
    !function.is_some_and(|function| {
        starts_with_any(
            function,
            &[
                "__interceptor_",
                "___interceptor_",
                "__asan",
                "__ubsan",
                "__tsan",
                "__msan",
                "__lsan",
                "__libc_",
                "__hwasan",
                "__GI_",
                "__pthread",
                "pthread_",
                "__cxa",
                "__gnu_cxx",
                "__sanitizer",
                "operator new",
                "operator delete",
                "std::",
                "_start",
                "gsignal",
                "_dl_",
                "google::",
                "absl::",
                "c10::",
                "at::",
                "torch::",
                "boost::",
                "llvm::sys::",
                "void std::",
                "_gfortran",
                "MPI_",
                "PMPI_",
                "MPIR_",
                "MPID",
                "_ZSt",
                "_ZNSt",
            ],
        ) || matches!(
            function,
            "raise" | "abort" | "clone" | "start_thread" | "malloc" | "free" | "calloc" | "realloc" | "memcpy"
        )
    })
}

fn contains_any(text: &str, needles: &[&str]) -> bool {
    needles.iter().any(|needle| text.contains(needle))
}

fn starts_with_any(text: &str, needles: &[&str]) -> bool {
    needles.iter().any(|needle| text.starts_with(needle))
}

fn ends_with_any(text: &str, needles: &[&str]) -> bool {
    needles.iter().any(|needle| text.ends_with(needle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart() {
        use Language::{Cpp, Go, Java, Javascript, Python, Rust, Shell};
        // (language, file, function, belongs to the application)
        let rows: &[(Language, &str, &str, bool)] = &[
            (Python, "/srv/app/train.py", "main", true),
            (Python, r"C:\Jobs\report\report.py", "publish", true),
            (Python, "shop.py", "item", true),
            (Python, "<stdin>", "<module>", true),
            (Python, "/opt/venv/lib/python3.11/site-packages/flask/app.py", "wsgi_app", false),
            (Python, "/usr/lib/python3/dist-packages/apt/cache.py", "open", false),
            (Python, r"C:\Python311\Lib\threading.py", "run", false),
            (Python, "<frozen runpy>", "_run_code", false),
            (Python, "<string>", "<module>", false),
            (Python, "/opt/venv/bin/torchrun", "<module>", false),
            (Python, "pandas/_libs/index.pyx", "get_loc", false),
            (Javascript, "/srv/app/index.js", "load", true),
            (Javascript, "file:///srv/app/index.mjs", "load", true),
            (Javascript, "webpack-internal:///(rsc)/./app/page.tsx", "Page", true),
            (Javascript, "/srv/app/node_modules/express/lib/router.js", "next", false),
            (Javascript, "node:internal/process/task_queues", "process", false),
            (Javascript, "internal/modules/cjs/loader.js", "load", false),
            (Javascript, "module.js", "Module._compile", false),
            (Go, "/go/src/shop/main.go", "main.loop", true),
            (Go, "/workspace/internal/x.go", "example.com/x/internal.F", true),
            (Go, "/usr/local/go/src/runtime/panic.go", "panic", false),
            (Go, "/usr/lib/go-1.19/src/net/http/server.go", "net/http.(*conn).serve", false),
            (Go, "/go/pkg/mod/sigs.k8s.io/controller-runtime@v0.16.3/x.go", "x.F", false),
            (Go, "asm_amd64.s", "goexit", false),
            (Rust, "src/main.rs", "app::main", true),
            (Rust, "", "app::work", true),
            (Rust, "/rustc/abc/library/core/src/panicking.rs", "core::panicking::panic_fmt", false),
            (Rust, "", "std::rt::lang_start", false),
            (Rust, "/root/.cargo/registry/src/x/tokio-1.0/src/lib.rs", "tokio::run", false),
            (Java, "Stock.java", "com.acme.Stock.reserve", true),
            (Java, "Main.java", "Main.main", true),
            (Java, "javazone.java", "javazone.Main.main", true),
            (Java, "Thread.java", "java.base/java.lang.Thread.run", false),
            (Java, "X.java", "org.springframework.web.X.doFilter", false),
            (Cpp, "src/main.cpp", "walk", true),
            (Cpp, "../csu/libc-start.c", "__libc_start_main_impl", false),
            (Cpp, "", "operator new(unsigned long)", false),
            (Shell, "./deploy.sh", "upload", true),
            (Shell, "", "", false),
        ];
        for &(language, file, function, expected) in rows {
            let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
            let got = is_app(language, some(file), some(function));
            assert_eq!(got, expected, "{language:?} {file} {function}");
        }
    }
}
