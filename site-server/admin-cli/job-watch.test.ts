import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { toJobRecord } from './job-record.ts';
import { JobView } from './job-view.ts';
import { FakeAdmin, Feed } from './testing/fake-admin.ts';
import { thenMs } from './testing/fake-moment.ts';
import { aJob, aWaitingJob } from './testing/job-answers.ts';
import { Run } from './testing/run-waybill.ts';
import { TerminalScreen } from './testing/terminal-screen.ts';

type Job = ReturnType<typeof aJob>;

function viewOf(...jobs: Job[]): JobView {
  return viewAt(new FakeClock(thenMs), ...jobs);
}

function viewAt(clock: FakeClock, ...jobs: Job[]): JobView {
  const view = new JobView({
    siteCode: 'PS1',
    serverAddress: 'site.example.org:8530',
    clock,
    timeZone: 'UTC',
    paint: (_tone, text) => text,
  });
  for (const job of jobs) view.apply(toJobRecord(job));
  return view;
}

describe('the view of jobs (ADM-2)', () => {
  it('has a bar for each running job, and the waiting ones with place, next try and reason', () => {
    const view = viewOf(
      aWaitingJob({
        jobSerial: '20',
        queuePlace: 2,
        waitingReason: 'slot',
        reason: '',
        restartAtMs: '0',
      }),
      aWaitingJob(),
      aJob(),
      aJob({ jobSerial: '16', state: 'JOB_STATE_COMPLETE', dpId: 'PS1DP9' }),
    );
    assert.deepEqual(view.liveLines({ columns: 100, rows: 24 }), [
      'Site PS1  1 running  2 waiting  45.2 MB/s  2026-03-14 09:26:53',
      'PS100001 v3 → PS1DP1  ███████░░░░░░░░░░░░░░░░░░░░░  25 %  1 GiB of 4 GiB  45.2 MB/s  ETA 71 s',
      '#  waiting               next try      why',
      '1  PS100001 v3 → PS1DP2  within 5 min  DP unreachable: nothing listens there',
      '2  PS100001 v3 → PS1DP2                slot',
      'PS100001 v3 → PS1DP9 is complete',
    ]);
  });

  it('breaks a long reason when there is room, and cuts it when there is none', () => {
    const view = viewOf(aWaitingJob({ reason: 'a firewall between the two drops it' }));
    assert.deepEqual(view.liveLines({ columns: 66, rows: 24 }).slice(2), [
      '1  PS100001 v3 → PS1DP2  within 5 min  DP unreachable: a firewall',
      '                                       between the two drops it',
    ]);
    assert.equal(view.liveLines({ columns: 66, rows: 4 }).length, 3);
  });

  it('says how many more there are when the terminal is low, and never is higher', () => {
    const running = Array.from({ length: 30 }, (_, index) =>
      aJob({ jobSerial: String(100 + index) }),
    );
    const waiting = Array.from({ length: 30 }, (_, index) =>
      aWaitingJob({ jobSerial: String(200 + index), queuePlace: index + 1 }),
    );
    const low = viewOf(...running.slice(0, 2), ...waiting).liveLines({ columns: 80, rows: 10 });
    assert.equal(low.length, 9);
    assert.equal(low.at(-1), '… and 26 more');
    const full = viewOf(...running, ...waiting).liveLines({ columns: 80, rows: 10 });
    assert.equal(full.at(-1), '… and 23 more running');
    for (const rows of [2, 3, 4, 5, 10, 40, 80]) {
      const { length } = viewOf(...running, ...waiting).liveLines({ columns: 80, rows });
      assert.ok(length <= Math.max(2, rows - 1), `${length} lines on ${rows} rows`);
    }
  });

  it('a job that a pull DP has is a bar like any other; what keeps it stands behind (PULL-3, PULL-7)', () => {
    const withDp = { sendAction: 'PullQueryResultAction', bytesPerSecond: '0', etaMs: '0' };
    const reason =
      'No source gives what is missing of package PS100001: PS1DP1 cannot be reached. ' +
      'It goes on by itself when one does';
    const view = viewOf(
      aJob({ sendAction: 'PullQueryResultAction' }),
      aJob({ ...withDp, jobSerial: '18', waitingReason: 'no-source', reason }),
      aJob({ ...withDp, jobSerial: '19', totalBytes: '0', remainingBytes: '0' }),
    );
    assert.deepEqual(view.liveLines({ columns: 130, rows: 24 }).slice(1), [
      'PS100001 v3 → PS1DP1  ███████░░░░░░░░░░░░░░░░░░░░░░░  25 %  1 GiB of 4 GiB  45.2 MB/s  ETA 71 s',
      'PS100001 v3 → PS1DP1  ███████░░░░░░░░░░░░░░░░░░░░░░░  25 %  1 GiB of 4 GiB' +
        '  no source has it yet: PS1DP1 cannot be reached',
      'PS100001 v3 → PS1DP1  with the DP, which has yet to say how much it fetches',
    ]);
  });

  it('what keeps a pull DP has a line of its own where it has no room behind the bar', () => {
    const withDp = { sendAction: 'PullQueryResultAction', waitingReason: 'no-source' };
    const reason = 'PS1DP1 cannot be reached';
    const jobs = [aJob({ ...withDp, reason }), aJob({ ...withDp, reason, jobSerial: '18' })];
    const view = viewOf(...jobs);
    assert.deepEqual(view.liveLines({ columns: 60, rows: 24 }).slice(1, 3), [
      'PS100001 v3 → PS1DP1  ██░░░░░░  25 %  1 GiB of 4 GiB',
      '  no source has it yet: PS1DP1 cannot be reached',
    ]);
    const low = view.liveLines({ columns: 60, rows: 5 });
    assert.equal(low.length, 4);
    assert.equal(
      low.at(-1),
      '… and 1 more running',
      'a job is shown with its reason, or not at all',
    );
  });

  it('a pull DP that says nothing for long has no rate and no ETA any more', async () => {
    const clock = new FakeClock(thenMs);
    const view = viewAt(clock, aJob({ sendAction: 'PullQueryResultAction' }));
    const bar = () => view.liveLines({ columns: 130, rows: 24 })[1] ?? '';
    // One percent takes 950 ms.
    await clock.advance(14_999);
    assert.match(bar(), /45\.2 MB\/s {2}ETA 71 s$/);
    await clock.advance(1);
    assert.match(bar(), /1 GiB of 4 GiB {2}nothing heard for 15 s$/);
    assert.doesNotMatch(view.liveLines({ columns: 130, rows: 24 })[0] ?? '', /MB\/s/);
    view.apply(toJobRecord(aJob({ sendAction: 'PullQueryResultAction' })));
    assert.match(bar(), /ETA 71 s$/);
    view.apply(
      toJobRecord(aJob({ sendAction: 'PullQueryResultAction', bytesPerSecond: '1000000' })),
    );
    await clock.advance(120_000);
    assert.match(bar(), /1 MB\/s {2}ETA 71 s$/, 'three percents would take 129 s');
  });

  it('a job that is pushed is not expected to say anything', async () => {
    const clock = new FakeClock(thenMs);
    const view = viewAt(clock, aJob());
    await clock.advance(60_000);
    assert.match(view.liveLines({ columns: 130, rows: 24 })[1] ?? '', /ETA 71 s$/);
  });

  it('on a narrow terminal the heading leaves out the time, then the rate', () => {
    const head = (columns: number) => viewOf(aJob()).liveLines({ columns, rows: 24 })[0];
    assert.equal(head(60), 'Site PS1  1 running  0 waiting  45.2 MB/s');
    assert.equal(head(35), 'Site PS1  1 running  0 waiting');
  });

  it('a job that was superseded, failed or ended leaves the bars', () => {
    const view = viewOf(aJob(), aJob({ state: 'JOB_STATE_FAILED', reason: 'no room' }));
    assert.deepEqual(view.liveLines({ columns: 100, rows: 24 }).slice(1), [
      'PS100001 v3 → PS1DP1 is failed: no room',
    ]);
  });
});

describe('waybill jobs watch (ADM-2)', () => {
  function start(options: { terminal?: { columns: number; rows: number } } = {}) {
    const jobs = new Feed<Job>();
    const admin = new FakeAdmin().stream('watchJobs', (_request, signal) => jobs.read(signal));
    const run = new Run({ admin, ...options });
    return { jobs, run };
  }
  const gone = new WaybillError({
    code: 'PEER_UNREACHABLE',
    peer: 'a site server',
    address: 'site.example.org:8530',
    reason: 'it closed the connection',
  });

  it('without a terminal writes a line for each change, not for each byte; Ctrl-C ends it well', async () => {
    const { jobs, run } = start();
    jobs.push(
      aJob(),
      aJob({ remainingBytes: '3221225471' }),
      aJob({ remainingBytes: '2000000000' }),
      aWaitingJob(),
      aWaitingJob({ queuePlace: 2 }),
      aJob({ state: 'JOB_STATE_COMPLETE', remainingBytes: '0' }),
    );
    const ended = run.run('jobs watch');
    await run.whenWritten('complete');
    run.interrupt();
    assert.equal(await ended, 0);
    assert.deepEqual(run.stdout.text.split('\n'), [
      '2026-03-14 09:29:53  job 17  PS100001 v3 → PS1DP1  in progress 20 %',
      '2026-03-14 09:29:53  job 17  PS100001 v3 → PS1DP1  in progress 50 %',
      '2026-03-14 09:29:53  job 18  PS100001 v3 → PS1DP2  pending restart, ' +
        'DP unreachable: nothing listens there, next try by 2026-03-14 09:31:53',
      '2026-03-14 09:29:53  job 17  PS100001 v3 → PS1DP1  complete',
      '',
    ]);
  });

  it('writes of a pull DP that the job is with it, and what keeps it (PULL-3)', async () => {
    const { jobs, run } = start();
    const withDp = { sendAction: 'PullQueryResultAction' };
    jobs.push(
      aJob(withDp),
      aJob({ ...withDp, waitingReason: 'no-source', reason: '' }),
      aJob({ ...withDp, state: 'JOB_STATE_COMPLETE' }),
    );
    const ended = run.run('jobs watch');
    await run.whenWritten('complete');
    run.interrupt();
    assert.equal(await ended, 0);
    assert.deepEqual(run.stdout.text.trimEnd().split('\n'), [
      '2026-03-14 09:29:53  job 17  PS100001 v3 → PS1DP1  with the DP 20 %',
      '2026-03-14 09:29:53  job 17  PS100001 v3 → PS1DP1  with the DP 20 %, no source has it yet',
      '2026-03-14 09:29:53  job 17  PS100001 v3 → PS1DP1  complete',
    ]);
  });

  it('goes on after the site server was away, and says so; with --json on stderr alone', async () => {
    for (const flag of ['', ' --json']) {
      const { jobs, run } = start();
      jobs.push(aJob());
      jobs.end(gone);
      const ended = run.run(`jobs watch${flag}`);
      await run.whenWritten('went away', run.stderr);
      const again = new Feed<Job>();
      again.push(aJob({ state: 'JOB_STATE_COMPLETE' }));
      run.admin.stream('watchJobs', (_request, signal) => again.read(signal));
      await run.clock.advance(1_000);
      run.interrupt();
      assert.equal(await ended, 0);
      assert.equal(run.stdout.text.trimEnd().split('\n').length, 2);
      assert.equal(
        run.stderr.text,
        'waybill: the site server at site.example.org:8530 went away; waiting for it\n' +
          'waybill: the site server at site.example.org:8530 is back\n',
      );
    }
  });

  it('tells the end of a job once, also when the site server goes right after', async () => {
    const { jobs, run } = start();
    jobs.push(aJob({ state: 'JOB_STATE_COMPLETE' }));
    jobs.end(gone);
    const ended = run.run('jobs watch');
    await run.whenWritten('went away', run.stderr);
    run.interrupt();
    assert.equal(await ended, 0);
    assert.equal(run.stdout.text.match(/complete/g)?.length, 1);
  });

  it('a site server that cannot be reached at first is a failure', async () => {
    const { run } = start();
    run.admin.answer('getSite', () => {
      throw gone;
    });
    assert.equal(await run.run('jobs watch'), 1);
    assert.match(
      run.stderr.text,
      /^waybill: a site server at site\.example\.org:8530 cannot be reached/,
    );
  });

  it('on a terminal redraws in place, and leaves the last picture', async () => {
    const size = { columns: 100, rows: 10 };
    const { jobs, run } = start({ terminal: size });
    jobs.push(aJob());
    const ended = run.run('jobs watch');
    await run.whenWritten('0 running');
    await run.clock.advance(200);
    await run.whenWritten('1 running');
    jobs.push(aJob({ remainingBytes: '2147483648' }));
    await run.clock.advance(1_000);
    run.interrupt();
    assert.equal(await ended, 0);
    assert.equal(run.stderr.text, 'waybill: the jobs go on; only the watching has ended\n');
    const screen = new TerminalScreen(size);
    screen.write(run.stdout.text);
    assert.deepEqual(screen.text.split('\n'), [
      'Site PS1  1 running  0 waiting  45.2 MB/s  2026-03-14 09:29:54',
      'PS100001 v3 → PS1DP1  ██████████████░░░░░░░░░░░░░░  50 %  2 GiB of 4 GiB  45.2 MB/s  ETA 71 s',
    ]);
    assert.ok(screen.isCursorShown);
  });
});
