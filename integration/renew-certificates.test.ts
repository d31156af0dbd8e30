import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EnrolledHierarchy } from './enrolled-hierarchy.ts';
import { PassingTime } from './passing-time.ts';

const dayMs = 24 * 3_600_000;
const dpId = 'PS1DP1';

interface Certificate {
  readonly kind: string;
  readonly holder: string;
  readonly notAfterMs: number;
  readonly state: string;
  readonly due: string;
}

describe('certificates that renew themselves (SEC-3, F22)', function () {
  this.timeout(180_000);
  let net: EnrolledHierarchy;
  let time: PassingTime;

  before(async () => {
    time = await PassingTime.begin();
    net = await EnrolledHierarchy.start('PS1', 'primary', time.environment);
    await net.enrolledDp(dpId);
  });

  after(async () => {
    await net?.[Symbol.asyncDispose]();
    await time?.[Symbol.asyncDispose]();
  });

  const homeFile = async (name: string) =>
    join((await net.person('alice')).home, '.config', 'waybill', name);

  async function ofFile(path: string): Promise<X509Certificate> {
    return new X509Certificate(await readFile(path));
  }

  const agentFile = (name: string) => net.at(name, 'identity', 'agent.pem');

  /** Days that are left of a certificate. */
  async function daysLeft(path: string): Promise<number> {
    const endMs = Date.parse((await ofFile(path)).validTo);
    return Math.round((endMs - time.nowMs) / dayMs);
  }

  async function renewed(path: string, before: X509Certificate): Promise<X509Certificate> {
    let now = before;
    await net.until('another certificate', async () => {
      now = await ofFile(path);
      return now.fingerprint256 !== before.fingerprint256;
    });
    return now;
  }

  async function lines(name: string, msg: string): Promise<number> {
    const text = await readFile(net.agent(name).logPath, 'utf8');
    return text.split('\n').filter((line) => line.includes(`"msg":"${msg}`)).length;
  }

  async function reachable(): Promise<void> {
    await net.until('a DP that is reached', async () => {
      return (await net.waybill(['dp', 'check', dpId])).exitCode === 0;
    });
  }

  async function knownOf(holder: string): Promise<Certificate | undefined> {
    const all = await net.asked<Certificate[]>(['certs']);
    return all.find((one) => one.holder === holder && one.kind === 'identity');
  }

  it('site, DP and administrator, at two thirds of the life, without a restart', async () => {
    const before = await Promise.all([agentFile('PS1'), agentFile(dpId)].map(ofFile));
    const own = await ofFile(await homeFile('agent.pem'));
    const pids = [net.agent('PS1').pid, net.agent(dpId).pid];
    await time.pass(65);
    await renewed(agentFile('PS1'), before[0]!);
    await renewed(agentFile(dpId), before[1]!);
    await reachable();
    const next = await renewed(await homeFile('agent.pem'), own);
    assert.ok(!next.publicKey.equals(own.publicKey), 'with a new key');
    assert.equal(await daysLeft(agentFile('PS1')), 90);
    assert.equal(await daysLeft(agentFile(dpId)), 90);
    assert.deepEqual([net.agent('PS1').pid, net.agent(dpId).pid], pids);
    assert.equal((await knownOf(`dp/${dpId}`))?.state, 'valid');
    assert.equal((await knownOf('site/PS1'))?.due, 'nothing');
    await sleep(1_000);
    assert.deepEqual(
      [await lines('PS1', 'Renewed the certificate'), await lines(dpId, 'Renewed the certificate')],
      [1, 1],
    );
  });

  it('a DP and a site that were off while theirs expired come back by their old keys', async () => {
    const before = await Promise.all([agentFile('PS1'), agentFile(dpId)].map(ofFile));
    await net.agent(dpId).kill();
    await net.agent('PS1').kill();
    await time.pass(100);
    await net.agent(dpId).start();
    // Its site is away: it stays up and says why.
    await net.until('a DP that says why', async () => {
      return (await lines(dpId, 'The certificate has expired')) > 0;
    });
    await net.until('a try', async () => {
      return (await lines(dpId, 'The certificate could not be renewed')) > 0;
    });
    await net.agent('PS1').start();
    await renewed(agentFile('PS1'), before[0]!);
    await renewed(agentFile(dpId), before[1]!);
    await reachable();
    assert.equal(await daysLeft(agentFile(dpId)), 90);
    // An administrator's as well, when he uses it.
    assert.equal(await daysLeft(await homeFile('agent.pem')), 90);
  });

  it('after the grace period a DP stays up and asks nobody; with a new token it is back', async () => {
    await net.agent(dpId).kill();
    await time.pass(65);
    await reachableSite();
    await time.pass(60);
    await reachableSite();
    const tries = await lines(dpId, 'The certificate could not be renewed');
    await net.agent(dpId).start();
    await net.until('a DP that says that it needs a token', async () => {
      const text = await readFile(net.agent(dpId).logPath, 'utf8');
      return text.includes('enroll this machine again with a new token');
    });
    await sleep(1_500);
    assert.equal(await lines(dpId, 'The certificate could not be renewed'), tries);
    assert.ok(net.agent(dpId).isRunning);
    const { pid } = net.agent(dpId);
    const printed = await net.printed(['dp', 'enroll', dpId]);
    const end = await net.enroll(printed, dpId);
    assert.equal(end.exitCode, 0, end.stderr);
    await reachable();
    assert.equal(net.agent(dpId).pid, pid, 'without a restart');
  });

  /** Whoever asks renews his own. */
  async function reachableSite(): Promise<void> {
    await net.until('a site that answers', async () => {
      return (await net.waybill(['site', 'show'])).exitCode === 0;
    });
  }

  it('a site whose clock was two years ahead for a while is itself again', async () => {
    const before = await ofFile(agentFile('PS1'));
    const { pid } = net.agent('PS1');
    await time.pass(700);
    await sleep(1_500);
    await time.pass(-700);
    await reachable();
    assert.equal(net.agent('PS1').pid, pid);
    assert.ok((await daysLeft(agentFile('PS1'))) <= 90);
    assert.ok(
      Date.parse((await ofFile(agentFile('PS1'))).validFrom) >= Date.parse(before.validFrom),
    );
  });
});
