import assert from 'node:assert/strict';
import {
  callerSendsOne,
  encodeMessage,
  methodDefinition,
  packageDefinition,
} from './service-definitions.ts';

describe('service definitions', () => {
  it('are read once', () => {
    assert.equal(packageDefinition(), packageDefinition());
  });

  it('give 64-bit numbers and enums as text, every field, and which of a oneof is set', () => {
    const { requestDeserialize } = methodDefinition('Admin', 'listStatusMessages');
    const filter = { severity: 'SEVERITY_WARNING', sinceMs: '18446744073709551615' } as const;
    assert.deepEqual(requestDeserialize(encodeMessage('Admin', 'listStatusMessages', filter)), {
      ...filter,
      packageId: '',
      dpId: '',
      limit: 0,
      messageId: 0,
      siteCode: '',
    });
    const putContent = methodDefinition('DistributionPoint', 'putContent');
    const open = { packageId: 'PS100001', jobSerial: '7' };
    const encoded = encodeMessage('DistributionPoint', 'putContent', { open });
    assert.deepEqual(putContent.requestDeserialize(encoded), { open, body: 'open' });
  });

  it('tell whose caller sends one message: not who asks what a server has, as long as its user does', () => {
    assert.ok(callerSendsOne('/waybill.v1.Content/GetManifest'));
    assert.ok(callerSendsOne('/grpc.health.v1.Health/Watch'));
    assert.ok(callerSendsOne('/nobody.knows/This'));
    assert.ok(!callerSendsOne('/waybill.v1.Content/Fetch'));
    for (const version of ['v1', 'v1alpha']) {
      const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
      assert.ok(!callerSendsOne(path));
    }
  });

  it('have no method that the proto does not have', () => {
    assert.throws(() => methodDefinition('Admin', 'abdicate'), /Admin has no method Abdicate/);
  });
});
