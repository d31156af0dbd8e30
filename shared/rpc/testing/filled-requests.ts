import { packageDefinition, type UntypedMethod } from '../service-definitions.ts';

/** What of a field's descriptor is read. */
interface Field {
  readonly name: string;
  readonly type: string;
  readonly typeName: string;
  readonly label: string;
}

const isRepeated = ({ label }: Field) => label === 'LABEL_REPEATED';

/**
 * A request for each field of a method's request that is no message, nested ones included, with that field
 * alone set; by the path of the field, such as `controls.limit.bytes_per_second`.
 */
export function filledRequests(method: UntypedMethod): [string, object][] {
  return filledOf(fieldsOf(method.requestType));
}

function filledOf(fields: readonly Field[]): [string, object][] {
  return fields.flatMap((field): [string, object][] => {
    const toValue = (value: unknown) => (isRepeated(field) ? [value] : value);
    const asRequest = (value: unknown) => ({ [toCamelCase(field.name)]: toValue(value) });
    if (field.type !== 'TYPE_MESSAGE') return [[field.name, asRequest(exampleOf(field))]];
    const nested = filledOf(fieldsOf(packageDefinition()[`waybill.v1.${field.typeName}`]));
    return nested.map(([name, value]) => [`${field.name}.${name}`, asRequest(value)]);
  });
}

function fieldsOf(definition: unknown): readonly Field[] {
  return (definition as { type: { field: readonly Field[] } }).type.field;
}

function exampleOf({ type }: Field): unknown {
  if (type === 'TYPE_STRING') return 'x';
  if (type === 'TYPE_BOOL') return true;
  return type === 'TYPE_BYTES' ? Buffer.from('x') : 1;
}

function toCamelCase(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
