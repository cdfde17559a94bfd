CREATE SCHEMA syncline;
