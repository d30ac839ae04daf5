-- What makes onec_fdw 1.1 of 1.0.
\echo Use "ALTER EXTENSION onec_fdw UPDATE" to load this file. \quit

