//! Whole traces of JavaScript, as their tools print them.

use super::js::JavaScript;
use super::rig::{read_all, summary};

#[test]
fn traces_are_read_whole() {
    for (name, log, expected) in [
        (
            "uncaught, with its place, code and caret",
            "up\n/srv/a.js:3\n  throw new Error('x')\n        ^\n\nError: x\n    at f (/srv/a.js:3:9)\n    at node:internal/main/run:28:49 {\n  code: 'E'\n}\n\nNode.js v20.20.2",
            "2-10 javascript Error \"x\" [/srv/a.js:3 f, node:internal/main/run:28 -] top 0 causes []",
        ),
        (
            "unhandled rejection of a plain value",
            "node:internal/process/promises:394\n      triggerUncaughtException(err, true /* fromPromise */);\n      ^\n\n[UnhandledPromiseRejection: This error originated … reason \"lost\".] {\n  code: 'ERR_UNHANDLED_REJECTION'\n}\n\nNode.js v20.20.2",
            "1-7 javascript UnhandledPromiseRejection \"This error originated … reason \\\"lost\\\".\" [] top - causes []",
        ),
        (
            "aggregate without a stack of its own",
            "[AggregateError: All promises were rejected] {\n  [errors]: [\n    TypeError: a\n        at f (/srv/a.ts:1:2),\n    RangeError: b\n        at g (/srv/a.ts:2:2) {\n      [cause]: Error: c\n          at h (/srv/a.ts:3:2)\n    }\n  ]\n}\nbye",
            "1-11 typescript AggregateError \"All promises were rejected\" [/srv/a.ts:1 f, /srv/a.ts:2 g, /srv/a.ts:3 h] top 0 causes []",
        ),
        (
            "causes, one inside the other",
            "A_Error: a\n    at f (/srv/a.js:1:2) {\n  [cause]: TypeError: b\n      at g (/srv/a.js:2:2) {\n    [cause]: RangeError [ERR_Z]: c\n        at h (/srv/a.js:3:2)\n  }\n}\nbye",
            "1-8 javascript A_Error \"a\" [/srv/a.js:1 f, /srv/a.js:2 g, /srv/a.js:3 h] top 2 causes [TypeError, RangeError]",
        ),
        (
            "an event that nobody handles",
            "node:events:497\n      throw er; // Unhandled 'error' event\n      ^\n\nError: listen EADDRINUSE: address already in use :::3000\n    at Server.listen (node:net:1:2)\n    at f (/srv/a.js:1:2)\nEmitted 'error' event on Server instance at:\n    at emitErrorNT (node:net:3:4) {\n  port: 3000\n}\nx",
            "1-11 javascript Error \"listen EADDRINUSE: address already in use :::3000\" [node:net:1 Server.listen, /srv/a.js:1 f, node:net:3 emitErrorNT] top 1 causes []",
        ),
        (
            "a warning of an old Node, then its advice",
            "(node:12) UnhandledPromiseRejectionWarning: Error: boom\n    at f (/srv/a.js:1:2)\n(node:12) UnhandledPromiseRejectionWarning: Unhandled promise rejection.",
            "1-2 javascript Error \"boom\" [/srv/a.js:1 f] top 0 causes []",
        ),
        (
            "a message longer than a look back",
            "AssertionError [ERR_ASSERTION]: Expected\n+ actual\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n    at f (/srv/a.js:1:2)\nx",
            "1-16 javascript AssertionError \"Expected\\n+ actual\\n1\\n2\\n3\\n4\\n5\\n6\\n7\\n8\\n9\\n10\\n11\\n12\\n13\" [/srv/a.js:1 f] top 0 causes []",
        ),
        (
            "Jest without a type, then the next test",
            "  ● sum › adds\n\n    expect(received).toBe(expected)\n\n    Expected: 2\n\n      3 |\n    > 4 |   x\n        |   ^\n\n      at Object.toBe (sum.test.js:4:5)\n\n  ● sum › b\n\n    TypeError: y\n\n      at f (sum.js:1:2)\n\nTests: 2 failed",
            "1-11 javascript - \"expect(received).toBe(expected)\\n\\nExpected: 2\" [sum.test.js:4 Object.toBe] top 0 causes []\n13-17 javascript TypeError \"y\" [sum.js:1 f] top 0 causes []",
        ),
        (
            "Vitest with code between frames",
            " FAIL  a.test.ts > x\nTypeError: y\n ❯ f src/a.ts:3:4\n      2|\n      3|   g()\n       |   ^\n ❯ a.test.ts:5:6\n\n⎯⎯⎯⎯[1/1]⎯",
            "1-7 typescript TypeError \"y\" [src/a.ts:3 f, a.test.ts:5 -] top 0 causes []",
        ),
        (
            "Next.js with code and digest",
            " ⨯ Error: boom\n    at Page (app/page.tsx:3:9)\n  2 |\n> 3 |   throw x;\n    |         ^\n  4 | } {\n  digest: '2338'\n}\n GET / 500",
            "1-8 typescript Error \"boom\" [app/page.tsx:3 Page] top 0 causes []",
        ),
        (
            "Deno",
            "error: Uncaught (in promise) TypeError: x\n  throw y;\n        ^\n    at f (file:///srv/a.ts:2:9)",
            "1-4 typescript TypeError \"x\" [file:///srv/a.ts:2 f] top 0 causes []",
        ),
        (
            "a thrown object, without and with its stack",
            "\n/srv/a.js:1\nthrow { code: 5 };\n^\n{ code: 5 }\n\nNode.js v20.20.2\n/srv/a.js:1\nthrow 7;\n^\n7\nThrown at:\n    at /srv/a.js:1:1\n    at g (/srv/a.js:3:1)",
            "2-5 javascript - \"{ code: 5 }\" [/srv/a.js:1 -] top 0 causes []\n8-14 javascript - \"7\" [/srv/a.js:1 -, /srv/a.js:3 g] top 0 causes []",
        ),
        (
            "a failed test of Node's runner, with an elided event",
            "✖ adds (1.9ms)\n  AssertionError [ERR_ASSERTION]: no\n  \n      at f (/srv/a.js:1:2)\n  Emitted 'error' event at:\n      at g (/srv/a.js:2:2)\n      [... lines matching original stack trace ...]\n      at h (/srv/a.js:3:2) {\n    code: 'E'\n  }\n\nok",
            "1-10 javascript AssertionError \"no\" [/srv/a.js:1 f, /srv/a.js:2 g, /srv/a.js:3 h] top 0 causes []",
        ),
        (
            "out of heap",
            "<--- Last few GCs --->\n\n[1:0x5]   12 ms: Mark-Compact 2047 (2082) -> 2046 (2082) MB\n\n\n<--- JS stacktrace --->\n\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n----- Native stack trace -----\n\n 1: 0xb8 node::OOMErrorHandler(char const*) [node]\n 2: 0x7f \nAborted",
            "1-12 javascript FATAL ERROR \"Reached heap limit Allocation failed - JavaScript heap out of memory\" [-:0 node::OOMErrorHandler, -:0 -] top - causes []",
        ),
        (
            "two records back to back",
            "2026-01-01 ERROR a: TypeError: x\n    at f (/srv/a.js:1:2)\n2026-01-01 ERROR b: TypeError: y\n    at g (/srv/a.js:2:2)",
            "1-2 javascript TypeError \"x\" [/srv/a.js:1 f] top 0 causes []\n3-4 javascript TypeError \"y\" [/srv/a.js:2 g] top 0 causes []",
        ),
    ] {
        assert_eq!(summary(&read_all(&JavaScript, log)), expected, "{name}");
    }
}

#[test]
fn prose_and_lone_frames_are_silent() {
    for log in [
        "    at f (/srv/a.js:1:2)",
        "see\n    at 10:05 the job was paused\n    at 10:07 disk usage fell (node-3:9100)",
        "TypeError: x is handled\nnext",
        "Trace: here\n    at f (/srv/a.js:1:2)",
        "(node:52) [DEP0005] DeprecationWarning: Buffer() is deprecated\n(Use `node --trace-deprecation ...` to show where)",
        "  ● Console\n\n    console.log\n      x\n\n      at f (a.js:1:2)\n",
        "Exception in thread \"main\" a.B: x\n\tat a.C.d(C.java:1)",
    ] {
        assert_eq!(summary(&read_all(&JavaScript, log)), "", "{log}");
    }
}

#[test]
fn the_corpus_is_read() {
    super::rig::assert_corpus(&JavaScript, &["javascript"], 16);
}
