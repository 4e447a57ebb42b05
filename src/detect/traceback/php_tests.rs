//! Layouts of PHP that the labelled streams in `fixtures/traces` do not have.

use super::php::Php;
use super::rig::{assert_corpus, read_all, summary};

#[test]
fn every_layout_is_read() {
    // (name, log, what is read)
    for (name, log, expected) in [
        (
            "Apache puts it on one line",
            r#"[Sat Nov 21 10:00:00.123456 2026] [php:error] [pid 12] [client 10.0.0.1:5000] PHP Fatal error:  Uncaught Exception: boom in /var/www/x.php:3\nStack trace:\n#0 /var/www/y.php(12): f()\n#1 {main}\n  thrown in /var/www/x.php on line 3, referer: http://x/
[Sat Nov 21 10:00:01.123456 2026] [php:warn] [pid 12] [client 10.0.0.1:5000] PHP Warning:  Undefined variable $x in /var/www/x.php on line 3"#,
            r#"1-1 php Exception "boom" [/var/www/x.php:3 -, /var/www/y.php:12 f] top 0 causes []"#,
        ),
        (
            "stamped by PHP's own log",
            r#"[21-Nov-2026 10:00:00 UTC] PHP Fatal error:  Uncaught Error: Call to undefined function foo() in /srv/x.php:3
Stack trace:
#0 {main}
  thrown in /srv/x.php on line 3
[21-Nov-2026 10:00:01 UTC] PHP Notice:  Undefined index: x in /srv/x.php on line 4"#,
            r#"1-4 php Error "Call to undefined function foo()" [/srv/x.php:3 -] top 0 causes []"#,
        ),
        (
            "Symfony's console",
            r#"$ bin/console app:x

In XCommand.php line 27:
                                
  cannot read the input file   
                                

In Reader.php line 9:
                   
  [ErrorException (2)]     
  file missing   
                   

app:x [--flag] [--] <name>"#,
            r#"3-11 php - "cannot read the input file" [XCommand.php:27 -, Reader.php:9 -] top 1 causes [ErrorException]"#,
        ),
        (
            "Symfony's log",
            r#"[2026-11-21T10:00:00.1+00:00] request.CRITICAL: Uncaught PHP Exception RuntimeException: "boom" at /srv/src/Controller/X.php line 12 {"exception":"[object] (RuntimeException(code: 0): boom at /srv/src/Controller/X.php:12)"} []
10:00:00 CRITICAL  [request] Uncaught PHP Exception App\Broken: "boom" at X.php line 12
[2026-11-21T10:00:01.1+00:00] request.INFO: Matched route "x". {"route":"x"} []"#,
            r#"1-1 php RuntimeException "boom" [/srv/src/Controller/X.php:12 -] top 0 causes []
2-2 php App\Broken "boom" [X.php:12 -] top 0 causes []"#,
        ),
        (
            "Laravel's console (Collision)",
            r#"
   RuntimeException 

  cannot read the input file

  at app/Console/Commands/X.php:12
      8▕     public function handle()
      9▕     {
  ➜  12▕         throw new RuntimeException('cannot read the input file');
     13▕     }
     14▕ }

      +13 vendor frames 

  14  artisan:35
      Illuminate\Foundation\Console\Kernel::handle()

next"#,
            r#"2-16 php RuntimeException "cannot read the input file" [app/Console/Commands/X.php:12 -, artisan:35 Illuminate\Foundation\Console\Kernel::handle] top 0 causes []"#,
        ),
        (
            "errors that are no exceptions, of old versions",
            r#"Catchable fatal error: Argument 1 passed to f() must be an array, string given in /srv/x.php on line 3
PHP Recoverable fatal error:  Object of class X could not be converted to string in /srv/x.php on line 9"#,
            r#"1-1 php Catchable fatal error "Argument 1 passed to f() must be an array, string given" [/srv/x.php:3 -] top 0 causes []
2-2 php Recoverable fatal error "Object of class X could not be converted to string" [/srv/x.php:9 -] top 0 causes []"#,
        ),
        (
            "back to back",
            r#"PHP Fatal error:  Uncaught Exception: a in /srv/x.php:3
Stack trace:
#0 {main}
  thrown in /srv/x.php on line 3
PHP Fatal error:  Uncaught Exception: b in /srv/x.php:4
Stack trace:
#0 {main}
  thrown in /srv/x.php on line 4"#,
            r#"1-4 php Exception "a" [/srv/x.php:3 -] top 0 causes []
5-8 php Exception "b" [/srv/x.php:4 -] top 0 causes []"#,
        ),
        (
            "Monolog with and without line breaks",
            r#"[2026-11-21T16:09:00.498325+00:00] app.ERROR: failed {"exception":"[object] (RuntimeException(code: 7): outer\nline at /srv/mono.php:5)\n[previous exception] [object] (InvalidArgumentException(code: 0): bad value at /srv/mono.php:4)"} []
[2026-11-21T16:09:00.499224+00:00] app.CRITICAL: failed2 {"exception":"[object] (RuntimeException(code: 7): outer
line at /srv/mono.php:5)
[stacktrace]
#0 /srv/mono.php(7): g()
#1 {main}

[previous exception] [object] (InvalidArgumentException(code: 0): bad value at /srv/mono.php:4)
[stacktrace]
#0 /srv/mono.php(5): f()
#1 /srv/mono.php(7): g()
#2 {main}
","id":3} 
{"message":"failed3","context":{"exception":{"class":"RuntimeException","message":"outer\nline","code":7,"file":"/srv/mono.php:5","previous":{"class":"InvalidArgumentException","message":"bad value","code":0,"file":"/srv/mono.php:4"}}},"level":400,"level_name":"ERROR","channel":"app","datetime":"2026-11-21T16:09:00.499738+00:00","extra":{}}
{"message":"failed4","context":{"exception":{"class":"RuntimeException","message":"outer\nline","code":7,"file":"/srv/mono.php:5","trace":["/srv/mono.php:7"],"previous":{"class":"InvalidArgumentException","message":"bad value","code":0,"file":"/srv/mono.php:4","trace":["/srv/mono.php:5","/srv/mono.php:7"]}}},"level":400,"level_name":"ERROR","channel":"app","datetime":"2026-11-21T16:09:00.499763+00:00","extra":{}}
{"message":"done","context":{},"level":200,"level_name":"INFO","channel":"app","datetime":"2026-11-21T16:09:00.499775+00:00","extra":{}}"#,
            r#"1-1 php RuntimeException "outer\nline" [/srv/mono.php:5 -, /srv/mono.php:4 -] top 1 causes [InvalidArgumentException]
2-13 php RuntimeException "outer\nline" [/srv/mono.php:5 -, /srv/mono.php:7 g, /srv/mono.php:4 -, /srv/mono.php:5 f, /srv/mono.php:7 g] top 2 causes [InvalidArgumentException]"#,
        ),
        (
            "an exception made a text, in a record and alone",
            r#"[error] InvalidArgumentException: no price
at all in /srv/a.php:6
Stack trace:
#0 /srv/a.php(5): App\Cart::price()
#1 [internal function]: App\Cart->App\{closure}()
#2 /srv/a.php(5): array_map()
#3 /srv/a.php(22): App\Cart->total()
#4 /srv/a.php(27): App\run()
#5 {main}

Next App\Broken: cart is broken in /srv/a.php:5
Stack trace:
#0 /srv/a.php(22): App\Cart->total()
#1 /srv/a.php(27): App\run()
#2 {main}
InvalidArgumentException: no price
at all in /srv/a.php:6
Stack trace:
#0 /srv/a.php(5): App\Cart::price()
#1 [internal function]: App\Cart->App\{closure}()
#2 /srv/a.php(5): array_map()
#3 /srv/a.php(22): App\Cart->total()
#4 /srv/a.php(27): App\run()
#5 {main}

Next App\Broken: cart is broken in /srv/a.php:5
Stack trace:
#0 /srv/a.php(22): App\Cart->total()
#1 /srv/a.php(27): App\run()
#2 {main}
cart is broken
#0 /srv/a.php(22): App\Cart->total()
#1 /srv/a.php(27): App\run()
#2 {main}"#,
            r#"1-15 php App\Broken "cart is broken" [/srv/a.php:6 -, /srv/a.php:5 App\Cart::price, -:0 App\Cart->App\{closure}, /srv/a.php:5 array_map, /srv/a.php:22 App\Cart->total, /srv/a.php:27 App\run, /srv/a.php:5 -, /srv/a.php:22 App\Cart->total, /srv/a.php:27 App\run] top 0 causes [InvalidArgumentException]
16-30 php App\Broken "cart is broken" [/srv/a.php:6 -, /srv/a.php:5 App\Cart::price, -:0 App\Cart->App\{closure}, /srv/a.php:5 array_map, /srv/a.php:22 App\Cart->total, /srv/a.php:27 App\run, /srv/a.php:5 -, /srv/a.php:22 App\Cart->total, /srv/a.php:27 App\run] top 0 causes [InvalidArgumentException]"#,
        ),
        (
            "out of memory, with Xdebug",
            r#"
Fatal error: Allowed memory size of 8388608 bytes exhausted (tried to allocate 2097152 bytes) in /srv/a.php on line 17

Call Stack:
    0.0002     410240   1. {main}() /srv/a.php:0
    0.0002     410240   2. App\run($m = 'mem') /srv/a.php:27"#,
            r#"2-6 php Fatal error "Allowed memory size of 8388608 bytes exhausted (tried to allocate 2097152 bytes)" [/srv/a.php:17 -, /srv/a.php:27 App\run] top 0 causes []"#,
        ),
        (
            "a parse error, twice",
            r#"PHP Parse error:  syntax error, unexpected token "{", expecting variable in /srv/syn.php on line 2

Parse error: syntax error, unexpected token "{", expecting variable in /srv/syn.php on line 2"#,
            r#"1-1 php Parse error "syntax error, unexpected token \"{\", expecting variable" [/srv/syn.php:2 -] top 0 causes []
3-3 php Parse error "syntax error, unexpected token \"{\", expecting variable" [/srv/syn.php:2 -] top 0 causes []"#,
        ),
        (
            "warnings, with and without Xdebug",
            r#"
Warning: Undefined variable $undefined in /srv/a.php on line 15

Call Stack:
    0.0002     410240   1. {main}() /srv/a.php:0
    0.0002     410240   2. App\run($m = 'warn') /srv/a.php:27


Warning: Undefined array key "k" in /srv/a.php on line 15

Call Stack:
    0.0002     410240   1. {main}() /srv/a.php:0
    0.0002     410240   2. App\run($m = 'warn') /srv/a.php:27


Deprecated: old in /srv/a.php on line 15

Call Stack:
    0.0002     410240   1. {main}() /srv/a.php:0
    0.0002     410240   2. App\run($m = 'warn') /srv/a.php:27
    0.0003     410328   3. trigger_error($message = 'old', $error_level = 16384) /srv/a.php:15

fine"#,
            r#""#,
        ),
        (
            "WordPress",
            r#"PHP message: PHP Fatal error:  Uncaught TypeError: count(): Argument #1 ($value) must be of type Countable|array, null given in /var/www/html/wp-content/plugins/shop/shop.php:120
Stack trace:
#0 /var/www/html/wp-includes/class-wp-hook.php(324): Shop->render()
#1 /var/www/html/wp-includes/plugin.php(517): WP_Hook->do_action(Array)
#2 /var/www/html/index.php(17): require('/var/www/html/w...')
#3 {main}
  thrown in /var/www/html/wp-content/plugins/shop/shop.php on line 120"#,
            r#"1-7 php TypeError "count(): Argument #1 ($value) must be of type Countable|array, null given" [/var/www/html/wp-content/plugins/shop/shop.php:120 -, /var/www/html/wp-includes/class-wp-hook.php:324 Shop->render, /var/www/html/wp-includes/plugin.php:517 WP_Hook->do_action, /var/www/html/index.php:17 require] top 0 causes []"#,
        ),
        (
            "Symfony's console, verbose",
            r#"In XCommand.php line 27:
                                
  [RuntimeException]            
  cannot read the input file   
                                

Exception trace:
  at /srv/src/Command/XCommand.php:27
 App\Command\XCommand->execute() at /srv/vendor/symfony/console/Command/Command.php:326
 Symfony\Component\Console\Command\Command->run() at /srv/vendor/symfony/console/Application.php:1096
 Symfony\Component\Console\Application->run() at /srv/bin/console:43

app:x [--flag] [--] <name>"#,
            r#"1-11 php RuntimeException "cannot read the input file" [XCommand.php:27 -, /srv/src/Command/XCommand.php:27 -, /srv/vendor/symfony/console/Command/Command.php:326 App\Command\XCommand->execute, /srv/vendor/symfony/console/Application.php:1096 Symfony\Component\Console\Command\Command->run, /srv/bin/console:43 Symfony\Component\Console\Application->run] top 0 causes []"#,
        ),
        (
            "CakePHP",
            r#"2026-11-21 10:00:00 error: [Cake\Http\Exception\MissingControllerException] Controller class X could not be found. in /srv/vendor/cakephp/cakephp/src/Http/ControllerFactory.php on line 72
Stack Trace:
- /srv/vendor/cakephp/cakephp/src/Http/BaseApplication.php:320
- /srv/webroot/index.php:40"#,
            r#"1-4 php Cake\Http\Exception\MissingControllerException "Controller class X could not be found." [/srv/vendor/cakephp/cakephp/src/Http/ControllerFactory.php:72 -, /srv/vendor/cakephp/cakephp/src/Http/BaseApplication.php:320 -, /srv/webroot/index.php:40 -] top 2 causes []"#,
        ),
        (
            "Magento, context behind the stack",
            r#"main.CRITICAL: Exception: Warning: Undefined array key "x" in /var/www/app/code/A/B.php on line 12 in /var/www/vendor/magento/framework/App/ErrorHandler.php:62
Stack trace:
#0 /var/www/app/code/A/B.php(12): Magento\Framework\App\ErrorHandler->handler(2, 'Undefined array...', '/var/www/app/co...', 12)
#1 {main} [] []"#,
            r#"1-4 php Exception "Warning: Undefined array key \"x\" in /var/www/app/code/A/B.php on line 12" [/var/www/vendor/magento/framework/App/ErrorHandler.php:62 -, /var/www/app/code/A/B.php:12 Magento\Framework\App\ErrorHandler->handler] top 1 causes []"#,
        ),
        (
            "Yii",
            r#"2026-11-21 10:00:00 [10.0.0.1][-][-][error][yii\web\HttpException:404] yii\base\InvalidRouteException: Unable to resolve the request "x". in /srv/vendor/yiisoft/yii2/base/Module.php:561
Stack trace:
#0 /srv/vendor/yiisoft/yii2/web/Application.php(103): yii\base\Module->runAction('x', Array)
#1 {main}

Next yii\web\NotFoundHttpException: Page not found. in /srv/vendor/yiisoft/yii2/web/Application.php:115
Stack trace:
#0 /srv/web/index.php(12): yii\base\Application->run()
#1 {main}
2026-11-21 10:00:01 [10.0.0.1][-][-][info][application] $_GET = []"#,
            r#"1-9 php yii\web\NotFoundHttpException "Page not found." [/srv/vendor/yiisoft/yii2/base/Module.php:561 -, /srv/vendor/yiisoft/yii2/web/Application.php:103 yii\base\Module->runAction, /srv/vendor/yiisoft/yii2/web/Application.php:115 -, /srv/web/index.php:12 yii\base\Application->run] top 3 causes [yii\base\InvalidRouteException]"#,
        ),
        (
            "Pest",
            r#"   FAIL  Tests\Feature\CartTest
  ⨯ it adds

  ──────────────────────────────────────────────────────────
   FAILED  Tests\Feature\CartTest > it adds      RuntimeException   
  boom

  at src/Cart.php:12
      8▕ 
  ➜  12▕         throw new RuntimeException('boom');

  1   src/Cart.php:12
  2   tests/Feature/CartTest.php:5

  Tests:    1 failed"#,
            r#"5-13 php RuntimeException "boom" [src/Cart.php:12 -, src/Cart.php:12 -, tests/Feature/CartTest.php:5 -] top 0 causes []"#,
        ),
        (
            "8.5 prints a stack for every fatal error",
            r#"PHP Fatal error:  Maximum execution time of 1 second exceeded in /srv/x.php on line 18
Stack trace:
#0 /srv/x.php(27): run('time')
#1 {main}
next"#,
            r#"1-4 php Fatal error "Maximum execution time of 1 second exceeded" [/srv/x.php:18 -, /srv/x.php:27 run] top 0 causes []"#,
        ),
        (
            "an anonymous class",
            r#"PHP Fatal error:  Uncaught class@anonymous: boom in /srv/x.php:3
Stack trace:
#0 {main}
  thrown in /srv/x.php on line 3"#,
            r#"1-4 php class@anonymous "boom" [/srv/x.php:3 -] top 0 causes []"#,
        ),
        (
            "prose, risky tests",
            r#"Fatal error: could not open the lens
fatal error: x.h: No such file or directory
PHP Warning:  include(x.php): Failed to open stream in /srv/x.php on line 3
PHP Deprecated:  Function x() is deprecated in /srv/x.php on line 3
PHPUnit 9.6.7 by Sebastian Bergmann and contributors.
There was 1 risky test:

1) CartTest::testX
This test did not perform any assertions

/srv/CartTest.php:9

2) CartTest::testY
This test did not perform any assertions

/srv/CartTest.php:19

OK, but incomplete, skipped, or risky tests!
#0 of 5 tasks (see x.php)
{"message":"ok","context":{"exception":null}}"#,
            r#""#,
        ),
    ] {
        assert_eq!(summary(&read_all(&Php, log)), expected, "{name}");
    }
}

#[test]
fn the_corpus_is_read() {
    assert_corpus(&Php, &["php"], 9);
}
