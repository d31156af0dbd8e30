import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentProcess } from './agent-process.ts';
import { Network } from './network.ts';
import { programs, runProgram, runWaybill } from './programs.ts';
import { SetClock } from './set-clock.ts';

const minuteMs = 60_000;
const yearMs = 365 * 24 * 60 * minuteMs;
const dpId = 'PS1DP1';

interface LogLine {
  readonly msg: string;
  readonly reason?: string;
}

/** The log of an agent from a moment on. */
class LogReader {
  readonly #agent: AgentProcess;
  #from = 0;

  constructor(agent: AgentProcess) {
    this.#agent = agent;
  }

  /** Only what is logged from now on is of interest. */
  async skip(): Promise<void> {
    this.#from = (await readFile(this.#agent.logPath)).length;
  }

  /** Resolves with the first line of this message, when it is there. */
  async line(msg: string): Promise<LogLine> {
    for (;;) {
      const found = (await this.#lines()).find((line) => line.msg === msg);
      if (found) return found;
      await sleep(50);
    }
  }

  async count(msg: string): Promise<number> {
    return (await this.#lines()).filter((line) => line.msg === msg).length;
  }

  async #lines(): Promise<LogLine[]> {
    const text = (await readFile(this.#agent.logPath)).subarray(this.#from).toString();
    const whole = text.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'));
    return whole.map((line) => JSON.parse(line) as LogLine);
  }
}

describe('a clock that is wrong (SEC-3, F22)', () => {
  const notYet = 'The certificate is not valid yet: peers do not take it';
  const expired = 'The certificate has expired: peers do not take it';
  const again = 'The certificate counts again';
  let network: Network;
  const clocks = new Map<string, SetClock>();

  before(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'waybill-clock-'));
    for (const name of ['PS1', dpId]) {
      clocks.set(name, await SetClock.create(join(directory, `${name}.clock`)));
    }
    const renewal = { lookMs: 200 };
    network = await Network.start({
      ...{ directory, distributionPoints: [dpId], site: { renewal }, dp: { renewal } },
      environment: (name) => clocks.get(name)?.environment ?? {},
    });
  });

  after(async () => {
    await network.stop();
    await rm(network.directory, { recursive: true, force: true });
  });

  afterEach(async () => {
    for (const clock of clocks.values()) await clock.setWrongBy(0);
  });

  const check = () => runWaybill(network, ['dp', 'check', dpId]);

  /** Until it is so, or the test takes too long. */
  async function checkedUntil(
    isSo: (end: { exitCode: number | null; stderr: string }) => boolean,
  ): Promise<void> {
    while (!isSo(await check()));
  }

  const cases = [
    ['at 1970', 10 * minuteMs - Date.now(), notYet, /it is not valid before 20.*, and it is 1970-/],
    ['10 minutes behind', -10 * minuteMs, notYet, /it is not valid before .*, and it is /],
    [
      'two years ahead',
      2 * yearMs,
      expired,
      /it expired at .*, and it is .* by this machine's clock/,
    ],
  ] as const;

  for (const [how, wrongMs, message, reason] of cases) {
    it(`a DP that starts with its clock ${how} stays up, says why, and is back when it is right`, async () => {
      const dp = network.dp(dpId);
      const log = new LogReader(dp);
      await dp.kill();
      await log.skip();
      await clocks.get(dpId)!.setWrongBy(wrongMs);
      await dp.start();
      assert.match((await log.line(message)).reason ?? '', reason);
      // The site may believe for a moment yet that nothing listens there.
      const isRefused = /is unreachable: .*(certificate|closed the connection)/;
      await checkedUntil(({ exitCode, stderr }) => exitCode === 1 && isRefused.test(stderr));
      const { pid } = dp;
      await clocks.get(dpId)!.setWrongBy(0);
      await log.line(again);
      await checkedUntil(({ exitCode }) => exitCode === 0);
      assert.deepEqual({ isRunning: dp.isRunning, pid: dp.pid }, { isRunning: true, pid });
      assert.equal(await log.count(message), 1);
    });
  }

  it('a DP whose clock is 10 minutes ahead goes on as ever', async () => {
    await clocks.get(dpId)!.setWrongBy(10 * minuteMs);
    await checkedUntil(({ exitCode }) => exitCode === 0);
  });

  for (const [how, wrongMs, message, reason] of cases) {
    it(`a site whose clock jumps to ${how} stays up, and is back when it is right`, async () => {
      const log = new LogReader(network.site);
      await log.skip();
      await clocks.get('PS1')!.setWrongBy(wrongMs);
      assert.match((await log.line(message)).reason ?? '', reason);
      const refused = await runWaybill(network, ['site', 'show']);
      assert.equal(refused.exitCode, 1);
      // Which certificate it is, the sentence says when the alert comes before the end of the connection.
      assert.match(refused.stderr, /cannot be reached: .*(certificate|closed the connection)/);
      await clocks.get('PS1')!.setWrongBy(0);
      await log.line(again);
      assert.equal((await runWaybill(network, ['site', 'show'])).exitCode, 0);
      await checkedUntil(({ exitCode }) => exitCode === 0);
      assert.ok(network.site.isRunning);
    });
  }

  it('an agent with wrong files ends, and says which (SEC-1)', async () => {
    const config = join(network.directory, 'wrong.yaml');
    const text = await readFile(network.dp(dpId).configPath, 'utf8');
    const other = network.certificateFiles({ kind: 'site', siteCode: 'PS1' }).keyFile;
    await writeFile(config, text.replace(/keyFile: .*/, `keyFile: ${other}`));
    const { exitCode, stderr } = await runProgram(programs.waybillDp, ['--config', config]);
    assert.equal(exitCode, 1);
    assert.match(stderr, /cannot be used: it is not the key of the certificate/);
  });
});
