// Named tests, one after the other: enough of a test runner for two scripts.

/** Runs named tests one after the other, prints each, and returns the exit code. */
export async function run(tests) {
  let failed = 0;
  for (const [name, test] of tests) {
    try {
      const begin = Date.now();
      await test();
      console.log(`ok    ${name} (${((Date.now() - begin) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${name}\n      ${String(error?.stack ?? error).replaceAll('\n', '\n      ')}`);
    }
  }
  console.log(`${tests.length - failed} passed, ${failed} failed`);
  return failed ? 1 : 0;
}
