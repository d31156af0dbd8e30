import assert from 'node:assert/strict';
import { startedAsService } from './service-start.ts';

const unit = 'waybill-dp.service';

/** A machine whose systemctl ends so. */
function machine(ends: Readonly<Record<string, number>>, hasSystemd = true) {
  const calls: string[] = [];
  return {
    calls,
    needs: {
      hasSystemd: async () => hasSystemd,
      run: async (program: string, words: readonly string[]) => {
        calls.push([program, ...words].join(' '));
        return { exitCode: ends[words[0] ?? ''] ?? 0, stderr: 'line\nJob failed.\n' };
      },
    },
  };
}

describe('the start of what was enrolled', () => {
  it('is by systemd, now and with the machine, where the unit is installed', async () => {
    const { calls, needs } = machine({});
    assert.equal(await startedAsService(unit, { isRestarted: false }, needs), true);
    assert.deepEqual(calls, [`systemctl cat ${unit}`, `systemctl enable --now ${unit}`]);
  });

  it('is a new one where it runs with a certificate that is no more', async () => {
    const { calls, needs } = machine({});
    assert.equal(await startedAsService(unit, { isRestarted: true }, needs), true);
    assert.deepEqual(calls.slice(1), [`systemctl enable ${unit}`, `systemctl restart ${unit}`]);
  });

  it('is left to the caller without systemd, and without the unit', async () => {
    const bare = machine({}, false);
    assert.equal(await startedAsService(unit, { isRestarted: true }, bare.needs), false);
    assert.deepEqual(bare.calls, []);
    const without = machine({ cat: 1 });
    assert.equal(await startedAsService(unit, { isRestarted: true }, without.needs), false);
    assert.deepEqual(without.calls, [`systemctl cat ${unit}`]);
  });

  it('that fails is told with where to look', async () => {
    await assert.rejects(
      startedAsService(unit, { isRestarted: false }, machine({ enable: 5 }).needs),
      {
        code: 'PEER_FAILED',
        message: /ended with 5: Job failed\.\. "journalctl -u waybill-dp\.service" says more/,
      },
    );
  });
});
