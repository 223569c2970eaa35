export { TidemarkError, errorCodes } from './errors.js';
