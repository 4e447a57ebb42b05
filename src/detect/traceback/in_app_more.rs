//! Whether a frame belongs to the application: .NET, Ruby, PHP and shell.

/// Namespaces of .NET's runtimes and of widespread packages; each stands for itself and all below.
const DOTNET_LIBRARIES: &[&str] = &[
    "Akka",
    "Amazon",
    "Apache",
    "Autofac",
    "AutoMapper",
    "Avalonia",
    "Azure",
    "BenchmarkDotNet",
    "Castle",
    "Confluent",
    "Cysharp",
    "Dapper",
    "DotNetty",
    "DryIoc",
    "Elasticsearch",
    "FluentAssertions",
    "FluentValidation",
    "FSharp",
    "Giraffe",
    "Google",
    "GraphQL",
    "Grpc",
    "Hangfire",
    "HotChocolate",
    "IdentityModel",
    "IdentityServer4",
    "Internal",
    "Interop",
    "JetBrains",
    "Lamar",
    "log4net",
    "MassTransit",
    "MediatR",
    "Microsoft",
    "MongoDB",
    "Mono",
    "Moq",
    "MS",
    "MySql",
    "MySqlConnector",
    "Nest",
    "Newtonsoft",
    "NHibernate",
    "NLog",
    "Npgsql",
    "NSubstitute",
    "NUnit",
    "OpenTelemetry",
    "Oracle",
    "Orleans",
    "Polly",
    "Quartz",
    "RabbitMQ",
    "Refit",
    "RestSharp",
    "Serilog",
    "ServiceStack",
    "Shouldly",
    "SimpleInjector",
    "StackExchange",
    "Swashbuckle",
    "System",
    "TUnit",
    "Unity",
    "UnityEditor",
    "UnityEngine",
    "Windows",
    "Xamarin",
    "Xunit",
    "Yarp",
    "Zenject",
];

/// .NET: the namespace says it; files of packages are built in folders of their own.
pub(super) fn is_app_dotnet(file: Option<&str>, function: Option<&str>) -> bool {
    let built_elsewhere =
        ["/_/", "D:/a/_work/", "/home/vsts/work/", "/__w/", "/.nuget/packages/", "/usr/share/dotnet/"];
    if file.is_some_and(|file| {
        built_elsewhere.iter().any(|root| file.starts_with(root) || file.contains("/.nuget/packages/"))
    }) {
        return false;
    }
    let Some(function) = function else { return file.is_some() };
    if function.starts_with("(wrapper ")
        || function.starts_with("lambda_method")
        || function.starts_with("DynamicClass.")
    {
        return false;
    }
    let root = function.split(['.', ':', '+', '`', '[', '/']).next().unwrap_or_default();
    !DOTNET_LIBRARIES.contains(&root)
}

/// Ruby: gems, the standard library and the interpreter's own code are libraries.
pub(super) fn is_app_ruby(file: &str) -> bool {
    let library = [
        "/gems/",
        "/lib/ruby/",
        "/.rbenv/",
        "/.rvm/",
        "/.asdf/installs/ruby/",
        "/rubies/",
        "/vendor/bundle/",
        "/vendor_ruby/",
        "/usr/share/rubygems-integration/",
        "/bundler/gems/",
        "/usr/local/bundle/",
        "/truffleruby/",
        "/jruby",
        "uri:classloader:",
    ];
    if library.iter().any(|part| file.contains(part)) || file.starts_with("vendor/bundle/") {
        return false;
    }
    if let Some(inner) = file.strip_prefix('<') {
        return inner.starts_with("main>");
    }
    // Binstubs that an installer writes, and irb.
    let launcher = ["/usr/bin/", "/usr/local/bin/", "/bin/bundle", "/bin/rails", "/bin/rake", "/bin/rspec"];
    !file.starts_with("(eval")
        && !file.starts_with("(irb")
        && !launcher.iter().any(|part| file.starts_with(part))
        && !matches!(file, "bin/rails" | "bin/rake" | "bin/rspec" | "bin/bundle" | "-e:" | "kernel")
}

/// PHP: what Composer has installed, the frameworks' own folders and PHP's internals are libraries.
pub(super) fn is_app_php(file: &str) -> bool {
    let library = [
        "/vendor/",
        "/usr/share/php/",
        "/usr/share/pear/",
        "/usr/lib/php/",
        "/wp-includes/",
        "/wp-admin/",
        "/lib/pear/",
        ".phar/",
        "/core/lib/Drupal/",
    ];
    !library.iter().any(|part| file.contains(part))
        && !file.starts_with("vendor/")
        && !file.starts_with("phar://")
        && !file.ends_with(".phar")
        && !file.starts_with('[')
        && !file.ends_with("eval()'d code")
        && !matches!(file, "artisan" | "bin/console")
        && !file.ends_with("/artisan")
        && !file.ends_with("/bin/console")
        && !file.starts_with("/usr/bin/")
        && !file.starts_with("/usr/local/bin/")
}

#[cfg(test)]
mod tests {
    use super::super::in_app::is_app;
    use crate::detect::Language;

    #[test]
    fn libraries_are_told_from_the_application() {
        for (language, file, function, expected) in [
            (Language::Dotnet, Some("/srv/Cart.cs"), Some("Acme.Cart.Total"), true),
            (Language::Dotnet, Some(r"C:\src\Cart.cs"), Some("Program.<Main>$"), true),
            (Language::Dotnet, None, Some("Acme.Cart.Total"), true),
            (Language::Dotnet, None, Some("System.Int32.Parse"), false),
            (Language::Dotnet, Some("/_/src/Polly/Retry.cs"), Some("Acme.X.Y"), false),
            (Language::Dotnet, None, Some("SystemsGroup.Tool.Run"), true),
            (Language::Ruby, Some("app/models/cart.rb"), Some("total"), true),
            (Language::Ruby, Some("/app/vendor/bundle/ruby/3.3.0/gems/rack-3/lib/x.rb"), None, false),
            (Language::Ruby, Some("/usr/lib/ruby/3.1.0/json/common.rb"), Some("parse"), false),
            (Language::Ruby, Some("<internal:kernel>"), Some("loop"), false),
            (Language::Php, Some("/srv/app/src/Cart.php"), Some("App\\Cart->total"), true),
            (Language::Php, Some("/srv/app/vendor/monolog/x.php"), None, false),
            (Language::Php, Some("/var/www/wp-includes/plugin.php"), None, false),
            (Language::Php, Some("/var/www/wp-content/plugins/shop/shop.php"), None, true),
            (Language::Php, None, Some("array_map"), false),
        ] {
            assert_eq!(is_app(language, file, function), expected, "{file:?} {function:?}");
        }
    }
}
