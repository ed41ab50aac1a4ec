// What the description of the API (OpenAPI 3.1) says, in the order and words of the page.

/** A JSON schema, as far as it is shown. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly description?: string;
  readonly enum?: readonly (string | null)[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly description: string;
  readonly required: boolean;
  readonly schema: Schema;
  readonly example: string | number | null;
}

interface Content {
  readonly schema: Schema;
  readonly example?: unknown;
}

interface RawOperation {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Content>> };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Readonly<Record<string, Content>> }>>;
}

export interface Description {
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, RawOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export interface Answer {
  readonly status: string;
  readonly description: string;
  readonly mediaType: string | null;
  readonly schema: Schema | null;
  readonly example: unknown;
}

export interface Operation {
  readonly id: string;
  /** In capitals. */
  readonly method: string;
  readonly path: string;
  readonly summary: string;
  readonly description: string;
  readonly section: string;
  readonly parameters: readonly Parameter[];
  /** Fields of the form that is sent. */
  readonly fields: Readonly<Record<string, Schema>>;
  readonly answers: readonly Answer[];
}

/** The operations by their sections, as the description orders these. */
export function sectionsOf(description: Description): [string, Operation[]][] {
  const all = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, raw]) => operationOf(path, method, raw)),
  );
  return description.tags.map(({ name }) => [name, all.filter(({ section }) => section === name)]);
}

function operationOf(path: string, method: string, raw: RawOperation): Operation {
  const form = Object.values(raw.requestBody?.content ?? {})[0];
  return {
    id: raw.operationId,
    method: method.toUpperCase(),
    path,
    summary: raw.summary,
    description: raw.description ?? '',
    section: raw.tags[0] ?? '',
    parameters: raw.parameters,
    fields: form?.schema.properties ?? {},
    answers: Object.entries(raw.responses).map(([status, answer]) => {
      const [mediaType, content] = Object.entries(answer.content ?? {})[0] ?? [null, null];
      return { status, description: answer.description, mediaType, schema: content?.schema ?? null, example: content?.example };
    }),
  };
}

/** The path with the examples in it, without its leading slash; what must be in the query is there, too. */
export function examplePath(operation: Operation, camera: string | null): string {
  const valueOf = ({ name, example }: Parameter) => (name === 'cam' && camera !== null ? camera : String(example ?? ''));
  let path = operation.path;
  const query = new URLSearchParams();
  for (const parameter of operation.parameters) {
    if (parameter.in === 'path') path = path.replace(`{${parameter.name}}`, encodeURIComponent(valueOf(parameter)));
    else if (parameter.required) query.set(parameter.name, valueOf(parameter));
  }
  const text = query.toString();
  return path.slice(1) + (text === '' ? '' : `?${text}`);
}

/** The name of a schema that is defined elsewhere. */
function nameOf(schema: Schema): string | null {
  return schema.$ref?.split('/').pop() ?? null;
}

/** A schema in a few words: `integer 1…100`, `list of Camera`. */
export function typeOf(schema: Schema): string {
  const name = nameOf(schema);
  if (name !== null) return name;
  const several = schema.oneOf ?? schema.anyOf;
  if (several) return several.map(typeOf).join(' or ');
  if (schema.enum) return schema.enum.map((word) => word ?? 'null').join(', ');
  const types = [schema.type ?? 'bytes'].flat();
  if (types.includes('array')) return `list of ${typeOf(schema.items ?? {})}`;
  const range = schema.minimum !== undefined && schema.maximum !== undefined ? ` ${schema.minimum}…${schema.maximum}` : '';
  return (schema.format?.startsWith('date') ? schema.format : types.join(' or ')) + range;
}

/** The fields of the schema `name`, with those of what it is made of. */
export function fieldsOf(description: Description, schema: Schema): [string, Schema][] {
  const name = nameOf(schema.items ?? schema);
  const found = name === null ? schema : description.components.schemas[name];
  if (!found) return [];
  const parts = (found.allOf ?? []).flatMap((part) => fieldsOf(description, part));
  return [...parts, ...Object.entries(found.properties ?? {})];
}
