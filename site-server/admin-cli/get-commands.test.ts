import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { AbortError } from '../../shared/runtime/abort-error.ts';
import type { GetOptions } from './package-get/package-access.ts';
import {
  aFetchedPackage,
  aLocation,
  aVersion,
  FakePackages,
  nearSource,
} from './testing/fake-packages.ts';
import { Run, runWaybill } from './testing/run-waybill.ts';
import { TerminalScreen } from './testing/terminal-screen.ts';

const gib = 1024 ** 3;
const workPath = '/home/alice/office.waybill-partial';
const begun = { location: aLocation, workPath, isResumed: false };

/** A fetch that begins and goes on until it is aborted. */
function untilAborted({ signal, observer }: GetOptions): Promise<never> {
  observer.begun(begun);
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new AbortError()));
  });
}

function packagesThat(onGet: FakePackages['onGet']): FakePackages {
  return Object.assign(new FakePackages(), { onGet });
}

describe('waybill get (CLIENT-2, ROLE-5)', () => {
  it('tells where the package is now, what it is, and what came from whom', async () => {
    const packages = new FakePackages();
    const { exitCode, stdout } = await runWaybill('get PS100001 --out office', { packages });
    assert.equal(exitCode, 0);
    assert.deepEqual(packages.requests, [{ packageId: 'PS100001', outDirectory: 'office' }]);
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      'Package PS100001: asking where it is',
      'Package PS100001 version 3 is in /home/alice/office: 12 files, 2 GiB, every byte verified.',
      'It took 24 s; 1 GiB from PS1DP1, 1 KiB from site PS1.',
    ]);
    assert.ok(packages.isClosed);
  });

  it('with --json is one object', async () => {
    const { stdout } = await runWaybill('get PS100001 --out office --json');
    assert.deepEqual(JSON.parse(stdout), {
      packageId: 'PS100001',
      sourceVersion: 3,
      out: '/home/alice/office',
      files: 12,
      bytes: 2 * gib,
      receivedBytes: gib + 1024,
      seconds: 24.345,
      sources: [
        { source: 'waybill://dp/PS1DP1', address: 'dp1.example.org:8531', rank: 1, bytes: gib },
        { source: 'waybill://site/PS1', address: 'site.example.org:8530', rank: 4, bytes: 1024 },
      ],
    });
  });

  it('without a terminal writes a line for each stage and each tenth', async () => {
    const packages = packagesThat(async ({ observer }) => {
      observer.begun(begun);
      observer.expected(gib);
      for (let piece = 0; piece < 4; piece++) observer.done(gib / 4);
      observer.writing(0);
      observer.writing(gib);
      observer.writing(2 * gib);
      return aFetchedPackage;
    });
    const { stdout } = await runWaybill('get PS100001 --out office', { packages });
    const fetching = 'Package PS100001 v3: fetching from PS1DP1, site PS1';
    const writing = 'Package PS100001 v3: all of it is here; writing office';
    assert.deepEqual(stdout.split('\n').slice(0, -3), [
      'Package PS100001: asking where it is',
      fetching,
      `${fetching} 0 %`,
      `${fetching} 20 %`,
      `${fetching} 50 %`,
      `${fetching} 70 %`,
      `${fetching} 100 %`,
      `${writing} 0 %`,
      `${writing} 50 %`,
      `${writing} 100 %`,
    ]);
  });

  it('on a terminal has a bar with rate and ETA, and says why it waits', async () => {
    const size = { columns: 100, rows: 10 };
    const run = new Run({ packages: packagesThat(untilAborted), terminal: size });
    let observer: GetOptions['observer'] | undefined;
    run.packages.onGet = (options) => {
      observer = options.observer;
      return untilAborted(options);
    };
    const ended = run.run('get PS100001 --out office');
    await run.whenWritten('asking where it is');
    while (!observer) await run.clock.advance(0);
    observer.expected(4 * gib);
    await run.clock.advance(1_000);
    observer.done(gib);
    observer.waiting(
      new WaybillError({ code: 'PULL_SOURCES_EXHAUSTED', packageId: 'PS100001', reason: 'gone' }),
    );
    await run.clock.advance(1_000);
    const screen = new TerminalScreen(size);
    screen.write(run.stdout.text);
    assert.deepEqual(screen.text.split('\n'), [
      'Package PS100001 v3: fetching from PS1DP1, site PS1',
      '███████░░░░░░░░░░░░░░░░░░░░░░░  25 %  1 GiB of 4 GiB  1.07 GB/s  ETA 3 s',
      'Waiting: No source gives what is missing of package PS100001: gone. It goes on by itself when one…',
    ]);
    run.interrupt();
    assert.equal(await ended, 1);
    screen.write(run.stdout.text.slice(run.stdout.text.lastIndexOf('\r')));
    assert.ok(screen.isCursorShown);
  });

  it('warns of a source that lied, by its name, on stderr', async () => {
    const lie = new WaybillError({
      code: 'PULL_SOURCE_LIED',
      source: 'waybill://dp/PS1DP1',
      fileHash: 'ab'.repeat(32),
      reason: 'piece 3 is not what its hash promises',
    });
    for (const terminal of [undefined, { columns: 100, rows: 10 }]) {
      const packages = packagesThat(async ({ observer }) => {
        observer.begun(begun);
        observer.lied(nearSource, lie);
        return aFetchedPackage;
      });
      const line = 'get PS100001 --out office';
      const { exitCode, stderr } = await runWaybill(line, {
        packages,
        ...(terminal && { terminal }),
      });
      assert.equal(exitCode, 0);
      assert.equal(stderr, `waybill: ${lie.message}\n`);
    }
  });

  it('says when it begins again with a newer version', async () => {
    const newer = { ...aVersion, sourceVersion: 4, packageHash: '00'.repeat(32) };
    const packages = packagesThat(async ({ observer }) => {
      observer.begun(begun);
      observer.begun({ ...begun, location: { ...aLocation, version: newer } });
      return aFetchedPackage;
    });
    const { stderr } = await runWaybill('get PS100001 --out office', { packages });
    assert.equal(
      stderr,
      'waybill: Package PS100001 has version 4 by now; it begins again with that\n',
    );
  });
});

describe('waybill get that comes to no end', () => {
  const goOn = `. What is fetched is in ${workPath}; the same command goes on from there\n`;

  it('says how to go on after Ctrl-C', async () => {
    const run = new Run({ packages: packagesThat(untilAborted) });
    const ended = run.run('get PS100001 --out office');
    await run.whenWritten('fetching');
    run.interrupt();
    assert.equal(await ended, 1);
    assert.equal(run.stderr.text, `waybill: Interrupted${goOn}`);
    assert.ok(run.packages.isClosed);
  });

  it('has code and work folder with --json', async () => {
    const run = new Run({ packages: packagesThat(untilAborted) });
    const ended = run.run('get PS100001 --out office --timeout 10m --json');
    while (run.clock.sleeperCount === 0) await run.clock.advance(0);
    await run.clock.advance(600_000);
    assert.equal(await ended, 1);
    const { error } = JSON.parse(run.stderr.text);
    assert.equal(error.code, 'TIMED_OUT');
    assert.equal(error.workPath, workPath);
    assert.equal(run.stdout.text, '');
  });

  it('ends when --timeout is over, and leaves no timer when it ends before', async () => {
    const run = new Run({ packages: packagesThat(untilAborted) });
    const ended = run.run('get PS100001 --out office --timeout 10m');
    await run.whenWritten('fetching');
    await run.clock.advance(599_000);
    assert.equal(run.stderr.text, '');
    await run.clock.advance(1_000);
    assert.equal(await ended, 1);
    assert.equal(run.stderr.text, `waybill: Package PS100001 is not here after 10 min${goOn}`);
    const quick = new Run();
    assert.equal(await quick.run('get PS100001 --out office --timeout 10m'), 0);
    assert.equal(quick.clock.sleeperCount, 0);
  });

  it('says how much room there should be', async () => {
    const packages = packagesThat(async ({ observer }) => {
      observer.begun(begun);
      const details = { path: workPath, freeBytes: 1024, neededBytes: gib };
      throw new WaybillError({ code: 'DISK_FULL', ...details });
    });
    const { exitCode, stderr } = await runWaybill('get PS100001 --out office', { packages });
    assert.equal(exitCode, 1);
    assert.equal(stderr, `waybill: ${workPath} has 1 KiB free; 1 GiB are needed${goOn}`);
  });

  for (const code of ['PACKAGE_UNKNOWN', 'PACKAGE_NOT_LOCATED'] as const) {
    it(`fails with ${code}, and speaks of no folder that was not made`, async () => {
      const failure = new WaybillError({ code, packageId: 'PS100001' });
      const packages = packagesThat(async () => {
        throw failure;
      });
      const text = await runWaybill('get PS100001 --out office', { packages });
      assert.equal(text.exitCode, 1);
      assert.equal(text.stderr, `waybill: ${failure.message}\n`);
      const json = await runWaybill('get PS100001 --out office --json', { packages });
      assert.equal(JSON.parse(json.stderr).error.code, code);
    });
  }

  it('says how to go on after any other failure once something was made', async () => {
    const failure = new WaybillError({
      code: 'PEER_FAILED',
      peer: 'a site server',
      reason: 'it is confused',
    });
    const packages = packagesThat(async ({ observer }) => {
      observer.begun(begun);
      throw failure;
    });
    const { stderr } = await runWaybill('get PS100001 --out office', { packages });
    assert.equal(stderr, `waybill: ${goOn.slice(2)}waybill: ${failure.message}\n`);
  });

  for (const [line, complaint] of [
    ['get PS100001', 'expected --out, or --info; see "waybill get --help"'],
    ['get', 'expected <package-id> after "waybill get"'],
    ['get PS100001 --info --out a', '--info and --out exclude each other'],
    ['get PS100001 --info --timeout 5m', '--info and --timeout exclude each other'],
    ['get PS100001 --out a --timeout 5', '--timeout: expected how long, such as 30s, 10m or 2h'],
    ['get PS100001 --out a --timeout 0s', '--timeout: expected how long'],
  ] as const) {
    it(`refuses "${line}"`, async () => {
      const packages = new FakePackages();
      const { exitCode, stderr } = await runWaybill(line, { packages });
      assert.equal(exitCode, 2);
      assert.ok(stderr.startsWith(`waybill: ${complaint}`), stderr);
      assert.deepEqual(packages.requests, []);
    });
  }
});

describe('waybill get --info (PKG-11, CLIENT-1)', () => {
  it('tells what the package is, its programs, and where it is; fetches nothing', async () => {
    const packages = new FakePackages();
    const { stdout } = await runWaybill('get PS100001 --info', { packages });
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      'package         PS100001',
      'name            Office 16',
      'version         16.0.2',
      'manufacturer    Example',
      'priority        normal',
      'icon            office.png (2 KiB)',
      'program         install=setup.sh --quiet',
      'source version  3',
      'content         12 files, 2 GiB',
      `hash            ${'ab'.repeat(32)}`,
      '',
      'from      address                rank  why',
      'PS1DP1    dp1.example.org:8531      1  same network',
      'site PS1  site.example.org:8530     4  fallback',
    ]);
    assert.deepEqual(packages.requests, []);
  });

  it('with --json is one object', async () => {
    const { stdout } = await runWaybill('get PS100001 --info --json');
    const json = JSON.parse(stdout);
    assert.deepEqual(json.programs, [{ name: 'install', commandLine: 'setup.sh --quiet' }]);
    assert.equal(json.iconBytes, 2048);
    assert.deepEqual(json.sources[0], {
      source: 'waybill://dp/PS1DP1',
      address: 'dp1.example.org:8531',
      rank: 1,
      nearness: 'same-network',
    });
  });
});
