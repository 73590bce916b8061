// Addresses as people write them, and as they are on the wire. 0 is an address like any other.

/** The tables, with the digit by which manuals call them (40001 is holding 0). */
export const TABLES = { holding: { digit: 4, function: 3, bits: false }, input: { digit: 3, function: 4, bits: false }, coil: { digit: 0, function: 1, bits: true }, discrete: { digit: 1, function: 2, bits: true } };

export const WAYS = ['0', '1', 'manual', 'hex'];

const MOST = 65_535;

/**
 * The address on the wire; `null` when the text is none. 0x is always hexadecimal, and six digits or
 * five that begin with the table's are the manual's way, whatever is chosen.
 * @returns {{ table?: string, address: number } | null}
 */
export function parseAddress(text, way, table) {
  const plain = String(text).trim().toLowerCase();
  if (/^0x[0-9a-f]+$/.test(plain)) return bounded(Number(plain));
  if (way === 'hex' && /^[0-9a-f]+$/.test(plain)) return bounded(parseInt(plain, 16));
  if (!/^\d+$/.test(plain)) return null;
  if (way === 'manual' || (plain.length >= 5 && !bounded(Number(plain)))) return manual(plain, table);
  return bounded(Number(plain) - (way === '1' ? 1 : 0));
}

/** 40001, 400001 and 1 are holding 0 in the manual's way. */
function manual(plain, table) {
  if (plain.length >= 5) {
    const named = Object.keys(TABLES).find((name) => TABLES[name].digit === Number(plain[0]));
    return named ? bounded(Number(plain.slice(1)) - 1, named) : null;
  }
  return bounded(Number(plain) - 1, table);
}

function bounded(address, table = undefined) {
  return Number.isInteger(address) && address >= 0 && address <= MOST ? { address, ...(table ? { table } : {}) } : null;
}

export function showAddress(address, way, table) {
  if (way === 'hex') return `0x${address.toString(16).toUpperCase().padStart(4, '0')}`;
  if (way === '1') return String(address + 1);
  if (way === 'manual') return `${TABLES[table].digit}${String(address + 1).padStart(address >= 9_999 ? 5 : 4, '0')}`;
  return String(address);
}
