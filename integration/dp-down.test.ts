import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Administrator } from './administrator.ts';
import { Network } from './network.ts';
import { runWaybill } from './programs.ts';
import { writeNoise } from './source-files.ts';
import { byScale, isLong } from './test-scale.ts';

const mebibyte = 1024 * 1024;
const hourMs = 3_600_000;
const down = 'PS1DP2';
const up = ['PS1DP1', 'PS1DP3'] as const;

/** What is promised for the DP's return; less strict where the machine may be busy. */
const returnMsMax = byScale({ short: 20_000, long: 2_000 });
/** Less than anybody waits for a DP that does not answer. */
const soonMs = 4_000;

describe('a DP that is down', () => {
  let network: Network;
  let administrator: Administrator;
  let source: string;

  before(async () => {
    // So long that only the DP's return can be why a job goes on.
    const distribution = { retryDelayMs: hourMs, retryDelayMsMax: hourMs };
    const distributionPoints = [up[0], down, up[1]];
    network = await Network.start({ distributionPoints, site: { distribution } });
    administrator = await Administrator.of(network);
    source = join(network.directory, 'source');
    await writeNoise(join(source, 'image.wim'), { bytes: 8 * mebibyte, seed: 1 });
  });

  after(() => network.stop());

  it('delays no other; its job says why it waits and until when, and goes on when it is back (PTM-1, PTM-2, PTM-8, DM-4)', async () => {
    await network.dp(down).kill();
    const packageId = await administrator.create(source);
    await administrator.distribute(packageId, down, ...up);
    for (const dpId of up) await administrator.installed({ packageId, dpId });

    const job = await administrator.jobIs({ packageId, dpId: down }, ({ state }) => {
      return state === 'JOB_STATE_PENDING_RESTART';
    });
    assert.equal(job.waitingReason, 'dp-unreachable');
    assert.match(job.reason, /PS1DP2 .* cannot be reached: nothing listens there/);
    assert.ok(Number(job.restartAtMs) > Date.now(), 'it says when the next try is due');
    const row = await administrator.statusIs({ packageId, dpId: down }, () => true);
    assert.equal(row.state, 'PACKAGE_STATUS_STATE_INSTALL_RETRYING');
    assert.match(row.reason, /cannot be reached/);
    const { stdout } = await runWaybill(network, ['jobs', 'list']);
    assert.match(stdout, /DP unreachable/i);

    await network.dp(down).start();
    const startedMs = performance.now();
    await administrator.installed({ packageId, dpId: down });
    const returnMs = performance.now() - startedMs;
    process.stdout.write(`      installed ${returnMs.toFixed(0)} ms after the DP listened\n`);
    assert.ok(returnMs < returnMsMax, `${returnMs} ms`);
    const jobs = await administrator.endedJobs({ packageId, dpId: down });
    assert.deepEqual(
      jobs.map(({ jobSerial, state }) => [jobSerial, state]),
      [[job.jobSerial, 'JOB_STATE_COMPLETE']],
    );
    assert.ok(Date.now() < Number(job.restartAtMs), 'long before its next try was due');
  });

  it('delays no other when it hangs, and is served when it answers again (PTM-2, PTM-8)', async () => {
    const { pid = assert.fail() } = network.dp(down);
    process.kill(pid, 'SIGSTOP');
    try {
      const packageId = await administrator.create(source);
      const startedMs = performance.now();
      await administrator.distribute(packageId, down, ...up);
      for (const dpId of up) await administrator.installed({ packageId, dpId });
      const tookMs = performance.now() - startedMs;
      if (isLong) assert.ok(tookMs < soonMs, `${tookMs} ms`);
      const job = await administrator.jobIs({ packageId, dpId: down }, ({ state }) => {
        return state === 'JOB_STATE_PENDING_RESTART';
      });
      assert.equal(job.waitingReason, 'dp-unreachable');
      process.kill(pid, 'SIGCONT');
      await administrator.installed({ packageId, dpId: down });
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });

  it('holds no slot: more DPs down than there are slots delay nobody (PTM-2)', async () => {
    const gone = ['PS1GONE1', 'PS1GONE2', 'PS1GONE3', 'PS1GONE4', 'PS1GONE5', 'PS1GONE6'];
    for (const dpId of gone) await administrator.addDistributionPoint(dpId, '127.0.0.1:9');
    const packageId = await administrator.create(source);
    await administrator.distribute(packageId, ...gone, ...up);
    for (const dpId of up) await administrator.installed({ packageId, dpId });
    for (const dpId of gone) {
      const { waitingReason } = await administrator.jobIs(
        { packageId, dpId },
        ({ state }) => state === 'JOB_STATE_PENDING_RESTART',
      );
      assert.equal(waitingReason, 'dp-unreachable');
    }
  });

  it('is served after a restart of the site too, at once when it is back (PTM-1, PTM-8)', async () => {
    await network.dp(down).kill();
    const packageId = await administrator.create(source);
    await administrator.distribute(packageId, down);
    const { jobSerial } = await administrator.jobIs({ packageId, dpId: down }, (job) => {
      return job.waitingReason === 'dp-unreachable' && job.state === 'JOB_STATE_PENDING_RESTART';
    });
    await network.site.kill();
    await network.site.start();
    await network.dp(down).start();
    await administrator.installed({ packageId, dpId: down });
    const jobs = await administrator.endedJobs({ packageId, dpId: down });
    assert.deepEqual(
      jobs.map((job) => [job.jobSerial, job.state]),
      [[jobSerial, 'JOB_STATE_COMPLETE']],
    );
  });
});
