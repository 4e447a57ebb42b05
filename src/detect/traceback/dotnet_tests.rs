//! Layouts of .NET that the labelled streams in `fixtures/traces` do not have.

use super::dotnet::Dotnet;
use super::rig::{assert_corpus, read_all, summary};

#[test]
fn every_layout_is_read() {
    // (name, log, what is read)
    for (name, log, expected) in [
        (
            "Serilog, the exception below the record",
            r#"[10:00:00 INF] starting
[10:00:01 ERR] Failed to load order 7
System.Collections.Generic.KeyNotFoundException: The given key '7' was not present in the dictionary.
   at System.Collections.Generic.Dictionary`2.get_Item(TKey key)
   at Acme.Orders.Load(Int32 id) in /app/Orders.cs:line 22
[10:00:01 INF] next"#,
            r#"3-5 dotnet System.Collections.Generic.KeyNotFoundException "The given key '7' was not present in the dictionary." [-:0 System.Collections.Generic.Dictionary`2.get_Item, /app/Orders.cs:22 Acme.Orders.Load] top 1 causes []"#,
        ),
        (
            "Npgsql, a message of several lines and data below the frames",
            r#"2026-11-21 10:00:00,123 [1] ERROR Acme.Foo - save failed
Npgsql.PostgresException (0x80004005): 23505: duplicate key value violates unique constraint "pk"

DETAIL: Key (id)=(7) already exists.
   at Npgsql.Internal.NpgsqlConnector.<ReadMessage>g__ReadMessageLong|223_0(NpgsqlConnector connector, Boolean async, DataRowLoadingMode dataRowLoadingMode)
   at Acme.Store.Save(Order o) in /app/Store.cs:line 44
  Exception data:
    Severity: ERROR
    SqlState: 23505
2026-11-21 10:00:00,124 [1] INFO Acme.Foo - next"#,
            r#"2-9 dotnet Npgsql.PostgresException "23505: duplicate key value violates unique constraint \"pk\"\n\nDETAIL: Key (id)=(7) already exists." [-:0 Npgsql.Internal.NpgsqlConnector.<ReadMessage>g__ReadMessageLong|223_0, /app/Store.cs:44 Acme.Store.Save] top 1 causes []"#,
        ),
        (
            "systemd's formatter, all on one line",
            r#"<6>Acme.Worker[0] start
<3>Acme.Worker[0] job failed System.InvalidOperationException: boom    at Acme.Worker.Run() in /app/Worker.cs:line 5    at Acme.Program.Main(String[] args) in /app/Program.cs:line 9
<6>Acme.Worker[0] next"#,
            r#"2-2 dotnet System.InvalidOperationException "boom" [/app/Worker.cs:5 Acme.Worker.Run, /app/Program.cs:9 Acme.Program.Main] top 0 causes []"#,
        ),
        (
            "NUnit's console, an error and a failure",
            r#"Errors, Failures and Warnings

1) Error : Acme.Tests.CartTests.Total
System.InvalidOperationException : boom
   at Acme.Shop.Cart.Total() in /src/Cart.cs:line 10
   at Acme.Tests.CartTests.Total() in /src/CartTests.cs:line 20

2) Failed : Acme.Tests.CartTests.Equal
  Expected: 3
  But was:  2
   at Acme.Tests.CartTests.Equal() in /src/CartTests.cs:line 25

Run Settings"#,
            r#"3-6 dotnet System.InvalidOperationException "boom" [/src/Cart.cs:10 Acme.Shop.Cart.Total, /src/CartTests.cs:20 Acme.Tests.CartTests.Total] top 0 causes []
8-11 dotnet - "Expected: 3\n  But was:  2" [/src/CartTests.cs:25 Acme.Tests.CartTests.Equal] top 0 causes []"#,
        ),
        (
            "MSTest names the test before the type",
            r#"Failed   Acme.Tests.CartTests.Total
Error Message:
 Test method Acme.Tests.CartTests.Total threw exception: 
System.InvalidOperationException: boom
Stack Trace:
    at Acme.Shop.Cart.Total() in /src/Cart.cs:line 10
   at Acme.Tests.CartTests.Total() in /src/CartTests.cs:line 20

Total tests: 2"#,
            r#"2-7 dotnet System.InvalidOperationException "boom" [/src/Cart.cs:10 Acme.Shop.Cart.Total, /src/CartTests.cs:20 Acme.Tests.CartTests.Total] top 0 causes []"#,
        ),
        (
            "Mono's frames in a Unity log",
            r#"NullReferenceException: Object reference not set to an instance of an object.
  at Player.Update () [0x00012] in C:\proj\Assets\Scripts\Player.cs:12 
  at UnityEngine.Foo.Bar () [0x00000] in <00000000000000000000000000000000>:0 
 
(Filename: C:\proj\Assets\Scripts\Player.cs Line: 12)"#,
            r#"1-3 dotnet NullReferenceException "Object reference not set to an instance of an object." [C:\proj\Assets\Scripts\Player.cs:12 Player.Update, -:0 UnityEngine.Foo.Bar] top 0 causes []"#,
        ),
        (
            "stack overflow",
            r#"Stack overflow.
Repeated 10960 times:
--------------------------------
   at Acme.P.Deep(Int32)
--------------------------------
   at Acme.P.Main(System.String[])
Aborted (core dumped)"#,
            r#"1-6 dotnet Stack overflow "" [-:0 Acme.P.Deep, -:0 Acme.P.Main] top 0 causes []"#,
        ),
        (
            "FailFast",
            r#"Process terminated. give up
   at System.Environment.FailFast(System.String)
   at Acme.P.Main(System.String[])
Aborted"#,
            r#"1-3 dotnet Process terminated "give up" [-:0 System.Environment.FailFast, -:0 Acme.P.Main] top 1 causes []"#,
        ),
        (
            "a fatal error with a type",
            r#"Fatal error. System.AccessViolationException: Attempted to read or write protected memory. This is often an indication that other memory is corrupt.
   at Acme.Native.Read(IntPtr)
   at Acme.P.Main(System.String[])
x"#,
            r#"1-3 dotnet System.AccessViolationException "Attempted to read or write protected memory. This is often an indication that other memory is corrupt." [-:0 Acme.Native.Read, -:0 Acme.P.Main] top 0 causes []"#,
        ),
        (
            "a fatal error of the runtime itself",
            r#"Fatal error. Internal CLR error. (0x80131506)
   at System.Threading.Thread.StartCallback()
Aborted"#,
            r#"1-2 dotnet Fatal error "Internal CLR error. (0x80131506)" [-:0 System.Threading.Thread.StartCallback] top - causes []"#,
        ),
        (
            "the header of .NET Framework",
            r#"Unhandled Exception: System.ArgumentNullException: Value cannot be null.
Parameter name: source
   at System.Linq.Enumerable.Count[TSource](IEnumerable`1 source)
   at Acme.P.Main(String[] args)"#,
            r#"1-4 dotnet System.ArgumentNullException "Value cannot be null.\nParameter name: source" [-:0 System.Linq.Enumerable.Count[TSource], -:0 Acme.P.Main] top 1 causes []"#,
        ),
        (
            "frames without places",
            r#"2026-11-21 10:00:00.123 +00:00 [ERR] Request failed
System.TimeoutException: The operation has timed out.
   at Acme.Client.Send(Request r)
   at Acme.P.Main(String[] args)
2026-11-21 10:00:01.123 +00:00 [INF] ok"#,
            r#"2-4 dotnet System.TimeoutException "The operation has timed out." [-:0 Acme.Client.Send, -:0 Acme.P.Main] top 0 causes []"#,
        ),
        (
            "Entity Framework, indented with its cause",
            r#"fail: Microsoft.EntityFrameworkCore.Update[10000]
      An exception occurred in the database while saving changes for context type 'Acme.ShopContext'.
      Microsoft.EntityFrameworkCore.DbUpdateException: An error occurred while saving the entity changes. See the inner exception for details.
       ---> Microsoft.Data.Sqlite.SqliteException (0x80004005): SQLite Error 19: 'UNIQUE constraint failed: Orders.Id'.
         at Microsoft.Data.Sqlite.SqliteException.ThrowExceptionForRC(Int32 rc, sqlite3 db)
         --- End of inner exception stack trace ---
         at Microsoft.EntityFrameworkCore.Update.ReaderModificationCommandBatch.Execute(IRelationalConnection connection)
         at Acme.ShopContext.Save() in /app/ShopContext.cs:line 30
info: x[0]"#,
            r#"3-8 dotnet Microsoft.EntityFrameworkCore.DbUpdateException "An error occurred while saving the entity changes. See the inner exception for details." [-:0 Microsoft.Data.Sqlite.SqliteException.ThrowExceptionForRC, -:0 Microsoft.EntityFrameworkCore.Update.ReaderModificationCommandBatch.Execute, /app/ShopContext.cs:30 Acme.ShopContext.Save] top 2 causes [Microsoft.Data.Sqlite.SqliteException]"#,
        ),
        (
            "F#",
            r#"Unhandled exception. System.Exception: no such shop
   at Microsoft.FSharp.Core.PrintfModule.PrintFormatToStringThenFail@1448.Invoke(String message)
   at Shop.Cart.total@12-1.Invoke(Int32 x) in /src/Cart.fs:line 12
   at <StartupCode$shop>.$Program.main@() in /src/Program.fs:line 3"#,
            r#"1-4 dotnet System.Exception "no such shop" [-:0 Microsoft.FSharp.Core.PrintfModule.PrintFormatToStringThenFail@1448.Invoke, /src/Cart.fs:12 Shop.Cart.total@12-1.Invoke, /src/Program.fs:3 <StartupCode$shop>.$Program.main@] top 1 causes []"#,
        ),
        (
            "a background service that stops the host",
            r#"crit: Microsoft.Extensions.Hosting.Internal.Host[10]
      The HostOptions.BackgroundServiceExceptionBehavior is configured to StopHost. A BackgroundService has thrown an unhandled exception, and the IHost instance is stopping.
      System.DivideByZeroException: Attempted to divide by zero.
         at Acme.Worker.ExecuteAsync(CancellationToken stoppingToken) in /app/Worker.cs:line 17
         at Microsoft.Extensions.Hosting.Internal.Host.TryExecuteBackgroundServiceAsync(BackgroundService backgroundService)
info: Microsoft.Hosting.Lifetime[0]
      Application is shutting down..."#,
            r#"3-5 dotnet System.DivideByZeroException "Attempted to divide by zero." [/app/Worker.cs:17 Acme.Worker.ExecuteAsync, -:0 Microsoft.Extensions.Hosting.Internal.Host.TryExecuteBackgroundServiceAsync] top 0 causes []"#,
        ),
        (
            "a chain that begins inside a record",
            r#"2026-11-21T10:00:00.000Z [Error] Unobserved: System.AggregateException: A Task's exception(s) were not observed either by Waiting on the Task or accessing its Exception property. (boom)
 ---> System.Exception: boom
   at Acme.W.<>c.<<Go>b__0_0>d.MoveNext() in /app/W.cs:line 3
--- End of stack trace from previous location where exception was thrown ---
   at System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw()
   at Acme.W.Go() in /app/W.cs:line 9
   --- End of inner exception stack trace ---
2026-11-21T10:00:01.000Z [Info] x"#,
            r#"1-7 dotnet System.AggregateException "A Task's exception(s) were not observed either by Waiting on the Task or accessing its Exception property. (boom)" [/app/W.cs:3 Acme.W.<>c.<<Go>b__0_0>d.MoveNext, -:0 System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw, /app/W.cs:9 Acme.W.Go] top 0 causes [System.Exception]"#,
        ),
        (
            "a cause whose outer exception has a place",
            r#"fail: Acme.Worker[0]
      Could not parse
      System.Text.Json.JsonException: '}' is invalid after a value. Path: $ | LineNumber: 0 | BytePositionInLine: 3.
       ---> System.Text.Json.JsonReaderException: '}' is invalid after a value. LineNumber: 0 | BytePositionInLine: 3.
         at System.Text.Json.ThrowHelper.ThrowJsonReaderException(Utf8JsonReader& json, ExceptionResource resource, Byte nextByte, ReadOnlySpan`1 bytes)
         --- End of inner exception stack trace ---
         at Acme.Parser.Parse(String s) in /app/Parser.cs:line 8"#,
            r#"3-7 dotnet System.Text.Json.JsonException "'}' is invalid after a value. Path: $ | LineNumber: 0 | BytePositionInLine: 3." [-:0 System.Text.Json.ThrowHelper.ThrowJsonReaderException, /app/Parser.cs:8 Acme.Parser.Parse] top 1 causes [System.Text.Json.JsonReaderException]"#,
        ),
        (
            "a message and a stack, no type",
            r#"2026-11-21 10:00:00,123 ERROR Could not save: boom
   at Acme.X.Y() in /app/X.cs:line 3
   at Acme.P.Main(String[] args) in /app/P.cs:line 9
2026-11-21 10:00:01,123 INFO ok"#,
            r#"1-3 dotnet - "Could not save: boom" [/app/X.cs:3 Acme.X.Y, /app/P.cs:9 Acme.P.Main] top 0 causes []"#,
        ),
        (
            "any parameters, stubs of the runtime",
            r#"Unhandled exception: System.ArgumentException: An item with the same key has already been added. Key: a
   at System.Collections.Generic.Dictionary`2.TryInsert(TKey key, TValue value, InsertionBehavior behavior)
   at Acme.X.Y(ValueTuple`2 p, Int32& i, Nullable`1 n) in C:\Users\dev\source\repos\X.cs:line 3
   at InvokeStub_X.Y(Object, Object, IntPtr*)
   at System.Reflection.MethodBaseInvoker.InvokeWithNoArgs(Object obj, BindingFlags invokeAttr)"#,
            r#"1-5 dotnet System.ArgumentException "An item with the same key has already been added. Key: a" [-:0 System.Collections.Generic.Dictionary`2.TryInsert, C:\Users\dev\source\repos\X.cs:3 Acme.X.Y, -:0 InvokeStub_X.Y, -:0 System.Reflection.MethodBaseInvoker.InvokeWithNoArgs] top 1 causes []"#,
        ),
        (
            "cut inside a frame",
            r#"Unhandled exception. System.InvalidOperationException: boom
   at Acme.X.Y() in /app/X.cs:line 3
   at Acme.P.M"#,
            r#"1-3 dotnet System.InvalidOperationException "boom" [/app/X.cs:3 Acme.X.Y] top 0 causes []"#,
        ),
        (
            "a missing assembly",
            r#"Unhandled exception. System.IO.FileNotFoundException: Could not load file or assembly 'Acme.Core, Version=1.0.0.0, Culture=neutral, PublicKeyToken=null'. The system cannot find the file specified.

File name: 'Acme.Core, Version=1.0.0.0, Culture=neutral, PublicKeyToken=null'
   at Acme.P.Main(String[] args)"#,
            r#"1-4 dotnet System.IO.FileNotFoundException "Could not load file or assembly 'Acme.Core, Version=1.0.0.0, Culture=neutral, PublicKeyToken=null'. The system cannot find the file specified.\n\nFile name: 'Acme.Core, Version=1.0.0.0, Culture=neutral, PublicKeyToken=null'" [-:0 Acme.P.Main] top 0 causes []"#,
        ),
        (
            "an aggregate inside an aggregate",
            r#"System.AggregateException: One or more errors occurred. (One or more errors occurred. (x))
 ---> System.AggregateException: One or more errors occurred. (x)
 ---> System.TimeoutException: x
   at Acme.A.F() in /app/A.cs:line 1
   --- End of inner exception stack trace ---
   at Acme.A.G() in /app/A.cs:line 2
   --- End of inner exception stack trace ---
   at Acme.A.H() in /app/A.cs:line 3
ok"#,
            r#"1-8 dotnet System.AggregateException "One or more errors occurred. (One or more errors occurred. (x))" [/app/A.cs:1 Acme.A.F, /app/A.cs:2 Acme.A.G, /app/A.cs:3 Acme.A.H] top 0 causes [System.AggregateException, System.TimeoutException]"#,
        ),
        (
            "Expecto, the message below the record",
            r#"[10:00:00 INF] EXPECTO? Running tests... <Expecto>
[10:00:00 ERR] cart/total failed in 00:00:00.0100000. 
total. Actual value was 3 but had expected it to be 2.
   at Shop.Tests.tests@12.Invoke(Unit _arg1) in /src/Tests.fs:line 13
   at Expecto.Impl.execTestAsync@878-1.Invoke(Unit unitVar)
 <Expecto>"#,
            r#"2-5 dotnet - "cart/total failed in 00:00:00.0100000.\ntotal. Actual value was 3 but had expected it to be 2." [/src/Tests.fs:13 Shop.Tests.tests@12.Invoke, -:0 Expecto.Impl.execTestAsync@878-1.Invoke] top 0 causes []"#,
        ),
        (
            "back to back",
            r#"System.Exception: a
   at Acme.A.F() in /app/A.cs:line 1
System.Exception: b
   at Acme.A.G() in /app/A.cs:line 2"#,
            r#"1-2 dotnet System.Exception "a" [/app/A.cs:1 Acme.A.F] top 0 causes []
3-4 dotnet System.Exception "b" [/app/A.cs:2 Acme.A.G] top 0 causes []"#,
        ),
        (
            "Microsoft.Testing.Platform, places without the word",
            r#"failed Total_Throws (21ms)
  System.InvalidOperationException: boom
    at Acme.Shop.Cart.Total() in /src/Cart.cs:10
    at Acme.Tests.CartTests.Total_Throws() in /src/CartTests.cs:20"#,
            r#"1-4 dotnet System.InvalidOperationException "boom" [/src/Cart.cs:10 Acme.Shop.Cart.Total, /src/CartTests.cs:20 Acme.Tests.CartTests.Total_Throws] top 0 causes []"#,
        ),
        (
            "Spectre.Console, return types in front",
            r#"Error: Could not find file '/x'.
InvalidOperationException: boom
  at void Acme.X.Y() in /app/X.cs:3
  at int Acme.P.Main(string[] args) in /app/P.cs:9"#,
            r#"2-4 dotnet InvalidOperationException "boom" [/app/X.cs:3 Acme.X.Y, /app/P.cs:9 Acme.P.Main] top 0 causes []"#,
        ),
        (
            "prose, compiler findings, healthy tests",
            r#"Exception filters are described at docs. Unhandled exception. See the manual.
   at line 3 (see Foo.Bar())
Test run for /src/bin/Debug/net8.0/Acme.Tests.dll (.NETCoreApp,Version=v8.0)
Passed!  - Failed:     0, Passed:     3
/src/Cart.cs(10,5): warning CS8602: Dereference of a possibly null reference. [/src/Acme.csproj]
/src/Cart.cs(10,5): error CS1002: ; expected [/src/Acme.csproj]
Error Message: none
look at System.Foo.Bar(x)
warn: Microsoft.AspNetCore.DataProtection[35]
      No XML encryptor configured. Key may be persisted to storage in unencrypted form."#,
            r#""#,
        ),
    ] {
        assert_eq!(summary(&read_all(&Dotnet, log)), expected, "{name}");
    }
}

#[test]
fn the_corpus_is_read() {
    assert_corpus(&Dotnet, &["dotnet"], 11);
}
