// Addresses that work on this computer alone.

const LOCAL = /^(localhost|127(\.\d+){3}|\[::1\]|.*\.localhost)$/;

/** What a person who copies it must know; empty for an address that works anywhere. @param {URL} address */
export const asideOf = (address) => (LOCAL.test(address.hostname) ? "It works on this computer alone." : "");
