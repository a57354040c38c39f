/** The checkout's clients without the checkout, for `resil lint`, `ops` and `assess` to look at. */
import { guardedInventory, type Inventory } from './clients.js';

/** Asks for stock. */
export const inventory: Inventory = guardedInventory('inventory.example:50051');
